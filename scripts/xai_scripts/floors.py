"""Measure what two branches that cost much could cost at best: the products that no way around leaves out.

    scripts/floors [--pairs N]

VGG11 weighs each position with weights of its own (25088x4096, 411 MB in f32), so that a branch has to read them once more,
whatever it multiplies. DINOv2-small reads its class token and the mean of all patches: under one mask 11 of 257 rows differ, so
that 256 masks make 2816 rows, each of which goes through the last block's projection and MLP. Floors are those products alone, as
plain networks, on rows that are there already. All networks of a line are run in turn, in one process; medians of N runs.
Needs `.venv-zoo` (scripts/zoo makes it) and the release binaries.
"""

import argparse
import sys
import time
from pathlib import Path

from .common import environments, paths, programs
from .common.processes import Failed, finish, reason
from .zoo import catalogue

FOLDER = paths.TARGET / "floors"


def main():
    """Export, insert and measure, in the environment that can."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=31, metavar="N")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.inside:
        python = environments.environment("zoo", requirements=catalogue.REQUIREMENTS)
        done = finish([python, Path(sys.argv[0]).resolve(), "--inside", "--pairs", arguments.pairs])
        if done.returncode != 0:
            raise Failed(reason(done))
        print(done.stdout, end="")
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, build, floor in (("vgg11", vgg11, vgg11_floor), ("dinov2-small", dinov2, dinov2_floor)):
        path = FOLDER / f"{name}.xml"
        if not path.exists():
            build(path)
        inserted = FOLDER / f"{name}-xai.xml"
        done = finish([programs.RELEASE / "xai-insert", path, "-o", inserted, "--overwrite"])
        if done.returncode != 0:
            raise Failed(reason(done))
        original, branch, least = measured([str(path), str(inserted), floor()], arguments.pairs)
        print(
            f"{name}: {1000 * original:.1f} ms; with the branch {branch / original:.2f}, "
            f"the branch's products alone {1 + least / original:.2f}"
        )


def vgg11(path):
    """The network, with random weights."""
    import openvino as ov
    import torch
    import torchvision

    model = torchvision.models.vgg11(weights=None).eval()
    converted = ov.convert_model(model, example_input=torch.zeros(1, 3, 224, 224), input=[1, 3, 224, 224])
    ov.save_model(converted, path)


def dinov2(path):
    """The network, with random weights."""
    import openvino as ov
    import torch
    from transformers import Dinov2Config, Dinov2ForImageClassification

    config = Dinov2Config(hidden_size=384, num_attention_heads=6, num_hidden_layers=12, image_size=224, num_labels=1000)
    model = Dinov2ForImageClassification(config).eval()
    converted = ov.convert_model(model, example_input=torch.zeros(1, 3, 224, 224), input=[1, 3, 224, 224])
    ov.save_model(converted, path)


def vgg11_floor():
    """49 products of 512 channels with 4096 columns each, and the two layers behind them on 49 rows."""
    from openvino import Model, opset8 as ops

    features = ops.parameter([49, 1, 512], name="features")
    rows = ops.relu(ops.matmul(features, random(49, 512, 4096), False, False))
    rows = ops.relu(ops.matmul(ops.squeeze(rows, integers(1)), random(4096, 4096), False, False))
    return Model([ops.matmul(rows, random(4096, 1000), False, False)], [features])


def dinov2_floor():
    """What a block does to each of 256 times 11 rows once keys and values are there."""
    import numpy as np
    from openvino import Model, opset8 as ops, opset13

    width, masks, rows = 384, 256, 11
    x = ops.parameter([masks, rows, width], name="rows")
    heads = [ops.parameter([masks, 6, rows, 64], name=name) for name in ("q", "k", "v")]
    mixed = opset13.scaled_dot_product_attention(*heads)
    mixed = ops.reshape(ops.transpose(mixed, integers(0, 2, 1, 3)), integers(masks, rows, width), False)
    x_mixed = ops.add(x, ops.matmul(mixed, random(width, width), False, False))
    normed = ops.mvn(x_mixed, integers(2), True, 1e-6, "inside_sqrt")
    hidden = ops.gelu(ops.matmul(normed, random(width, 4 * width), False, False), "erf")
    out = ops.add(x_mixed, ops.matmul(hidden, random(4 * width, width), False, False))
    out = ops.reduce_sum(ops.mvn(out, integers(2), True, 1e-6, "inside_sqrt"), integers(1), False)
    return Model([ops.matmul(out, random(width, 1000), False, False)], [x, *heads])


def random(*shape):
    """A constant of random numbers."""
    import numpy as np
    from openvino import opset8 as ops

    return ops.constant(np.random.default_rng(0).normal(size=shape).astype(np.float32) * 0.02)


def integers(*values):
    """A list of integers."""
    import numpy as np
    from openvino import opset8 as ops

    return ops.constant(np.array(values, np.int64))


def measured(models, pairs):
    """Median seconds of each model, run in turn, in f32."""
    import numpy as np
    import openvino as ov

    core = ov.Core()
    requests = []
    for model in models:
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        request = compiled.create_infer_request()
        rng = np.random.default_rng(0)
        inputs = [rng.normal(size=port.shape).astype(np.float32) for port in compiled.inputs]
        requests.append((request, inputs))
    times = [[] for _ in models]
    for _ in range(pairs + 3):
        for (request, inputs), taken in zip(requests, times, strict=True):
            start = time.perf_counter()
            request.infer(inputs)
            taken.append(time.perf_counter() - start)
    return [float(np.median(taken[3:])) for taken in times]
