"""How fast RISE runs."""

from pathlib import Path

from ..common import measuring, paths, processes, programs, tables
from .cases import RISE_LIMIT


def rise(python, rounds, peer_python):
    """Print masks per second of RISE against plain inference, in turn, and whether that is within the limit."""
    [program] = programs.build("xai-explain")
    model = paths.fixture("mobilenet_v2")
    command = [program, model, paths.MOBILENET / "chelsea.png", "--json", "--method", "rise", "--masks"]
    plain = [Path(python).parent / "benchmark_app", "-m", model, "-d", "CPU", "-hint", "throughput"]
    plain += ["-infer_precision", "f32", "-t", "6"]

    def seconds(masks):
        return processes.spend([*command, str(masks)])[0]

    def pair():
        throughput = float(processes.output(plain).split("Throughput:")[1].split()[0])
        # The difference of two runs leaves out loading and compiling.
        few = seconds(100)
        return throughput, 900 / (seconds(1000) - few)

    theirs, ours, ratio = measuring.in_turn(pair, rounds)
    print(tables.head(["RISE, masks/s", "benchmark_app, images/s", "ratio", "limit"]))
    print(tables.row([f"{ours:.0f}", f"{theirs:.0f}", f"{ratio:.2f}", RISE_LIMIT]))
    if peer_python:
        printed = processes.printed(processes.run_worker(peer_python, "bench.peer_rise", model))
        print(f"openvino_xai: {float(printed.split()[-1]):.0f} masks/s")
    if ratio < RISE_LIMIT:
        print(f"over the limit: RISE reaches {ratio:.2f} of plain throughput")
