#!/usr/bin/env python3
"""Make the test models under `fixtures/`: all of them, or those named.

Every fixture is built in a process of its own, so that the names which the converters count up
do not depend on what was built before. Each one is then loaded and run, and its text is searched
for machine paths. `fixtures/README.md` is written anew from the docstrings.
"""

import argparse
import multiprocessing
import sys
from pathlib import Path

import torch

from fixtures_lib import (
    checks,
    class_token,
    cnn,
    control_flow,
    detectors,
    edited,
    heads,
    mo_v10,
    mobilenet,
    no_fit,
    quantized,
    readme,
    tensorflow_models,
    timm_models,
    token_families,
    transformers,
)
from fixtures_lib.registry import FIXTURES, Skipped

FIXTURES_FOLDER = Path(__file__).resolve().parent.parent / "fixtures"

# Importing these has registered the fixtures; this is their order in `fixtures/README.md`.
KINDS = (
    mobilenet,
    cnn,
    tensorflow_models,
    heads,
    transformers,
    class_token,
    token_families,
    quantized,
    timm_models,
    control_flow,
    detectors,
    no_fit,
    mo_v10,
    edited,
)


def make(fixture, root):
    """Build one fixture under `root` and check it."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    path = fixture.path(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        fixture.build(path)
    except Skipped as reason:
        print(f"{fixture.name}: skipped, {reason}")
        return
    checks.check_text(path)
    if fixture.loads:
        checks.check_runs(path)
    print(f"{fixture.name}: {path.stat().st_size} + {path.with_suffix('.bin').stat().st_size}")


def make_in_child(fixture, root):
    """Run `make` in a fork of this process and tell whether it succeeded."""
    child = multiprocessing.get_context("fork").Process(target=make, args=(fixture, root))
    child.start()
    child.join()
    return child.exitcode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="fixtures to make; all if none")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    parser.add_argument("--out", type=Path, default=FIXTURES_FOLDER, help="folder to write to")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in FIXTURES]
    if unknown:
        parser.error(f"no such fixture: {', '.join(unknown)}")
    chosen = [FIXTURES[name] for name in arguments.names or FIXTURES]
    if arguments.list:
        print("\n".join(fixture.name for fixture in chosen))
        return 0
    failed = [fixture.name for fixture in chosen if not make_in_child(fixture, arguments.out)]
    readme.write(arguments.out, KINDS)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
