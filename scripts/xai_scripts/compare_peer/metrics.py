"""Compares the metrics of `xai-explain`, on the same maps."""

import json
import tempfile
from pathlib import Path

from ..common import paths, processes, programs, tables

METRICS = ("insertion", "deletion", "average_drop", "coherency", "complexity", "adcc")
TOLERANCE = 1e-3
CAT = 285


def compare(program, peer_python):
    """Print all values; the number of those that differ too much."""

    def work(*arguments):
        return processes.printed(processes.run_worker(peer_python, "compare_peer.metrics_worker", *arguments))

    failures = 0
    with tempfile.TemporaryDirectory() as scratch:
        image = f"{scratch}/cat.png"
        work("shrink", paths.MOBILENET / "chelsea.png", image)
        target = [paths.fixture("mobilenet_v2"), image, "--targets", CAT]
        processes.output([program, *target, "-o", scratch, "--raw", "--no-gallery"])
        maps = [Path(scratch) / f"{name}.npy" for name in ("own", "random 1", "random 2")]
        work("enlarge", f"{scratch}/cat_Egyptian_cat.npy", *maps)
        measured = json.loads(processes.last_line(work("measure", image, *maps)))
        print(tables.head(["map", "metric", "ours", "theirs"]))
        for path, theirs in zip(maps, measured, strict=True):
            found = programs.reports([program, *target, "--metrics", "--map", path])
            ours = next(report["targets"][0]["metrics"] for report in found if "targets" in report)
            for name in METRICS:
                print(tables.row([path.stem, name, f"{ours[name]:.5f}", f"{theirs[name]:.5f}"]))
                failures += abs(ours[name] - theirs[name]) > TOLERANCE
    print(f"{failures} values differ by more than {TOLERANCE}")
    return failures
