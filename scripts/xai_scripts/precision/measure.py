"""Worker: prints the figures of a model as JSON. Arguments: its name, the original and the model with the branch.

The branch (layers `xai/...`) is cut off and computed in single precision on the values that the device made for it by
default; that is what the map by default is compared with. The same branch on features in single precision says what the
original's own rounding costs, which is not the branch's; and with the operands of its products rounded, what
no branch in half precision can avoid, and with all that its operations make.
"""

import json
import sys
import time

import numpy as np
import openvino as ov
from PIL import Image
from skimage import data

from ..common.measuring import in_turn
from .cutting import cut_model, in_half, in_half_products, read_by_branch, tapped_model
from .models import MODELS

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "motorcycle", "camera", "coins", "grass", "brick", "retina")
BEST = 5
PAIRS = 40
SINGLE = {"INFERENCE_PRECISION_HINT": "f32"}
core = ov.Core()


def photo(name):
    """Pixels of a photo; of the stereo pair the left one."""
    if name == "motorcycle":
        from skimage.io import imread

        return Image.fromarray(imread(f"{data.__path__[0]}/motorcycle_left.png")).convert("RGB")
    return Image.fromarray(getattr(data, name)()).convert("RGB")


def images(name, shape):
    """What the model takes of each photo."""
    subject, first = MODELS[name], shape[1] == 3
    height, width = shape[2:] if first else shape[1:3]
    for file in PHOTOS:
        pixels = np.asarray(photo(file).resize((width, height)), np.float32)
        pixels = pixels[..., ::-1] if subject.blue_first else pixels
        pixels = ((pixels - subject.mean) / subject.scale).astype(np.float32)
        yield np.ascontiguousarray(pixels.transpose(2, 0, 1) if first else pixels)[None]


def chosen(scores, maps):
    """The maps that are compared: those of the best classes of a classifier, else all."""
    maps = np.array(maps, float)[0]
    maps = maps[None] if maps.ndim == 2 else maps
    if scores.size == len(maps):
        maps = maps[scores.reshape(-1).argsort()[::-1][:BEST]]
    return maps.reshape(len(maps), -1)


def alike(found, expected):
    """Mean difference, and share of equal peaks; peaks within a step of the largest value are one."""
    found, expected = np.concatenate(found), np.concatenate(expected)
    peak = expected.max(1) - np.take_along_axis(expected, found.argmax(1)[:, None], 1)[:, 0] <= 1
    strict = found.argmax(1) == expected.argmax(1)
    return [float(np.abs(found - expected).mean()), float(strict.mean()), float(peak.mean())]


def main(name, original, branch):
    """Run everything and print."""
    read = read_by_branch(core.read_model(branch))
    plain = core.compile_model(branch, "CPU")
    devices = [core.compile_model(tapped_model(core.read_model(branch), read), "CPU", config) for config in ({}, SINGLE)]
    head = core.compile_model(cut_model(core.read_model(branch), read), "CPU", SINGLE)
    halves = [
        core.compile_model(in_digits(cut_model(core.read_model(branch), read)), "CPU", SINGLE)
        for in_digits in (in_half_products, in_half)
    ]
    shape = [dim.get_length() if dim.is_static else 1 for dim in plain.inputs[0].partial_shape]
    default, exact, single, products, all_results = [], [], [], [], []
    for image in images(name, shape):
        results = [[np.array(value) for value in device(image).values()] for device in devices]
        maps = [next(iter(head(values).values())) for _, *values in results]
        scores = results[0][0]
        default.append(chosen(scores, plain(image)["saliency_map"]))
        exact.append(chosen(scores, maps[0]))
        single.append(chosen(scores, maps[1]))
        for found, half in zip((products, all_results), halves, strict=True):
            found.append(chosen(scores, next(iter(half(results[0][1:]).values()))))
    requests = [core.compile_model(path, "CPU", {"PERFORMANCE_HINT": "LATENCY"}).create_infer_request() for path in (original, branch)]

    def seconds(request):
        start = time.perf_counter()
        request.infer({0: image})
        return time.perf_counter() - start

    cost = in_turn(lambda: tuple(map(seconds, requests)), PAIRS, warm_up=5).ratio
    precision = plain.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    figures = {"branch": alike(default, exact), "features": alike(exact, single), "cost": cost}
    figures |= {"products": alike(products, exact), "results": alike(all_results, exact)}
    print(json.dumps(figures | {"precision": precision, "openvino": ov.__version__.split("-")[0], "maps": len(np.concatenate(default))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
