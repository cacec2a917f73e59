"""Measure insertion and inference, and print a table.

    scripts/bench [--batch static|dynamic] [--pairs N] [--python PYTHON] [--peer PYTHON] [MODEL...]
    scripts/bench --rise [--peer PYTHON]

Exports the models (timm, random weights) on first use, then measures

- insertion: the whole process against `cp` of the same two files, in turn, each pair on fresh
  files; the ratio is the median over pairs. Peak memory is the process's own high-water mark.
- inference: latency of the model with the branch and without, in turn in one process (f32,
  latency hint); the ratio is the median over pairs.

With `--peer`, an interpreter in whose environment `openvino_xai` is installed, its insertion on
the same models is measured as well, and its output runs on the same OpenVINO as ours.

With `--rise` the masks that `xai-explain --method rise` runs in a second are measured instead, on
the fixture MobileNetV2: against `benchmark_app -hint throughput`, in turn, and the loop of
`openvino_xai`.

Nothing here is a test: times depend on the machine, ratios less so. The first run makes an
environment in .venv-bench (several GB) and a folder target/bench for models.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from ..common import environments, paths, processes, programs, tables
from ..export_models import exported
from . import cases, measures
from .rise import rise

COLUMNS = ("model", "options", "insert ms", "/ cp", "peak MiB", "plain ms", "with branch ms", "ratio", "limit")
PEER_COLUMNS = ("peer insert s", "peer ratio")


class Setting(NamedTuple):
    """What all cases share."""

    program: Path
    python: Path
    pairs: int
    peer: Path | None


def fetched(python, name):
    """A model that `scripts/fetch_models` gets, or why it is not to be had."""
    # In a process of its own: what it reads would count as memory of everything measured after it.
    result = processes.finish([sys.executable, paths.SCRIPTS / "fetch_models", "--python", python, "--fetch", name])
    line = processes.last_line(result.stdout.strip() or result.stderr)
    return (Path(line), None) if result.returncode == 0 else (None, line)


def measure(setting, model, case):
    """The row of a case, and what it is over the limit by."""
    name, text, limit = case
    options, missed = text.split(), []
    cost = measures.insertion(setting.program, model, options, 9)
    row = [name, text, f"{cost.milliseconds:.0f}", f"{cost.ratio:.2f}", f"{cost.peak:.0f}"]
    large = model.with_suffix(".bin").stat().st_size >= cases.INSERTION_BYTES
    if large and cost.ratio > cases.INSERTION_LIMIT:
        missed.append(f"{name} {text}: insertion takes {cost.ratio:.2f} times cp")
    if cost.peak > cases.MEMORY_LIMIT_MIB:
        missed.append(f"{name} {text}: insertion needs {cost.peak:.0f} MiB")
    with tempfile.TemporaryDirectory(dir=paths.EXPORTED) as scratch:
        branch = f"{scratch}/branch.xml"
        processes.spend([setting.program, model, "-o", branch, *options])
        before, after, ratio = measures.inference(setting.python, model, branch, setting.pairs)
        row += [f"{before:.1f}", f"{after:.1f}", f"{ratio:.3f}", str(limit or "-")]
        if limit and ratio > limit:
            missed.append(f"{name} {text}: inference takes {ratio:.3f}, the limit is {limit}")
        if setting.peer and "classprobabilitymap" not in text:
            row += peer_cells(setting, model, f"{scratch}/peer.xml")
    return row, missed


def peer_cells(setting, model, out):
    """Seconds of the other's insertion and its ratio of latencies, or why there are none."""
    seconds, why = measures.peer_insertion(setting.peer, model, out)
    if why:
        return ["refused", why]
    ratio = measures.inference(setting.python, model, out, min(setting.pairs, 7))[2]
    return [f"{seconds:.1f}", f"{ratio:.2f}"]


def table(setting, chosen, folder):
    """Print a row for each case, then what is over the limit."""
    print(tables.head(COLUMNS + PEER_COLUMNS if setting.peer else COLUMNS))
    missed = []
    for case in chosen:
        name = case[0]
        model = folder / f"{name}.xml"
        if name in cases.FETCHED:
            model, why = fetched(setting.python, name)
            if why:
                print(f"| {name} | skipped: {why} |")
                continue
        row, over = measure(setting, model, case)
        print(tables.row(row), flush=True)
        missed += over
    for line in missed:
        print(f"over the limit: {line}")


def main():
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="timm names (default: the table)")
    parser.add_argument("--batch", choices=("static", "dynamic"), default="static")
    parser.add_argument("--pairs", type=int, default=31, help="pairs of inferences")
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter with openvino_xai")
    parser.add_argument("--python", help="interpreter that exports and runs models (default: made)")
    parser.add_argument("--rise", action="store_true", help="measure RISE")
    arguments = parser.parse_args()
    if arguments.rise:
        # Nothing is exported for it: the environment of scripts/test will do.
        tested = paths.ROOT / ".venv" / "bin" / "python"
        python = arguments.python or (tested if tested.exists() else environments.of_fixtures())
        rise(python, 5, arguments.peer)
        return
    chosen = cases.chosen(arguments.models)
    python = arguments.python or environments.of_fixtures()
    own = dict.fromkeys(name for name, _, _ in chosen if name not in cases.FETCHED)
    folder = exported(python, list(own), arguments.batch)
    [program] = programs.build("xai-insert")
    table(Setting(program, python, arguments.pairs, arguments.peer), chosen, folder)
