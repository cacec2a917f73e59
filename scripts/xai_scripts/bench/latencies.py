"""Worker: prints median latencies (ms) of two models, run in turn, and their ratio.

Arguments: the two models and the number of pairs.
"""

import sys
import time

import numpy
import openvino

from ..common.measuring import in_turn


def main(plain, branch, pairs):
    """Compile both, then measure."""
    core = openvino.Core()
    config = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    requests = [core.compile_model(path, "CPU", config).create_infer_request() for path in (plain, branch)]
    port = requests[0].model_inputs[0]
    shape = [dim.get_length() if dim.is_static else 1 for dim in port.partial_shape]
    image = numpy.random.default_rng(0).normal(size=shape).astype(numpy.float32)

    def milliseconds(request):
        start = time.perf_counter()
        request.infer({0: image})
        return (time.perf_counter() - start) * 1000

    print(*in_turn(lambda: tuple(map(milliseconds, requests)), int(pairs), warm_up=3))


if __name__ == "__main__":
    main(*sys.argv[1:])
