"""One figure each: insertion against `cp`, inference with the branch against without, the other's insertion."""

import tempfile
import time
from typing import NamedTuple

from ..common import measuring, paths, processes


class Insertion(NamedTuple):
    """Median ratio to `cp`, median milliseconds, peak MiB."""

    ratio: float
    milliseconds: float
    peak: float


def insertion(program, model, options, pairs):
    """The cost of an insertion as a whole process."""
    weights, peaks = model.with_suffix(".bin"), []

    def pair():
        with tempfile.TemporaryDirectory(dir=paths.EXPORTED) as folder:
            ours, memory = processes.spend([program, model, "-o", f"{folder}/ours.xml", *options])
            copy, _ = processes.spend(["cp", model, weights, folder])
        peaks.append(memory)
        return copy, ours

    # The first pair reads the files into the page cache.
    medians = measuring.in_turn(pair, pairs, warm_up=1)
    return Insertion(medians.ratio, medians.second * 1000, max(peaks))


def inference(python, plain, branch, pairs):
    """Median latencies of two models in milliseconds, run in turn by that interpreter, and their ratio."""
    done = processes.run_worker(python, "bench.latencies", plain, branch, pairs)
    return tuple(map(float, processes.last_line(processes.printed(done)).split()))


def peer_insertion(peer_python, model, out):
    """Seconds of the other's insertion, which writes `out`, and None; or None and why there is none."""
    start = time.perf_counter()
    done = processes.run_worker(peer_python, "bench.peer_insertion", model, out)
    if done.returncode != 0:
        return None, processes.last_line(done.stderr, f"status {done.returncode}")[:60]
    return time.perf_counter() - start, None
