"""Worker: prints the figures of a model as JSON. Arguments: its name, the original and the model with the branch.

The branch (layers `xai/...`) is cut off and computed in single precision on the values that the device made for it by
default; that is what the map by default is compared with. The same branch on features in single precision says what the
original's own rounding costs, which is not the branch's.
"""

import json
import sys
import time

import numpy as np
import openvino as ov
import openvino.opset8 as op
from PIL import Image
from skimage import data

from ..common.measuring import in_turn
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


def own(node):
    """Whether a layer belongs to the branch."""
    return node.get_friendly_name().startswith("xai/")


def is_constant(node):
    """Whether a value is a weight, perhaps converted."""
    return (node.input_value(0).get_node() if node.get_type_name() == "Convert" else node).get_type_name() == "Constant"


def saliency(model):
    """What feeds the map's output."""
    return next(port for port in model.outputs if "saliency_map" in port.get_names()).get_node().input_value(0)


def read_by_branch(model):
    """Values of the original that the branch reads, by layer and output."""
    found = []
    for node in filter(own, model.get_ordered_ops()):
        for value in node.input_values():
            source = value.get_node()
            key = (source.get_friendly_name(), value.get_index())
            if not own(source) and not is_constant(source) and key not in found:
                found.append(key)
    return found


def tapped(path, read):
    """The original's first output, and the values that the branch reads."""
    model = core.read_model(path)
    nodes = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
    scores = model.outputs[0].get_node().input_value(0)
    return ov.Model([scores, *(nodes[name].output(index) for name, index in read)], model.get_parameters())


def cut(path, read):
    """The branch as a model of its own."""
    model = core.read_model(path)
    nodes = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
    parameters = []
    for name, index in read:
        value = nodes[name].output(index)
        parameters.append(op.parameter(value.get_partial_shape(), value.get_element_type()))
        for reader in list(value.get_target_inputs()):
            if own(reader.get_node()):
                reader.replace_source_output(parameters[-1].output(0))
    return ov.Model([saliency(model)], parameters)


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
    devices = [core.compile_model(tapped(branch, read), "CPU", config) for config in ({}, SINGLE)]
    head = core.compile_model(cut(branch, read), "CPU", SINGLE)
    shape = [dim.get_length() if dim.is_static else 1 for dim in plain.inputs[0].partial_shape]
    default, exact, single = [], [], []
    for image in images(name, shape):
        results = [[np.array(value) for value in device(image).values()] for device in devices]
        maps = [next(iter(head(values).values())) for _, *values in results]
        scores = results[0][0]
        default.append(chosen(scores, plain(image)["saliency_map"]))
        exact.append(chosen(scores, maps[0]))
        single.append(chosen(scores, maps[1]))
    requests = [core.compile_model(path, "CPU", {"PERFORMANCE_HINT": "LATENCY"}).create_infer_request() for path in (original, branch)]

    def seconds(request):
        start = time.perf_counter()
        request.infer({0: image})
        return time.perf_counter() - start

    cost = in_turn(lambda: tuple(map(seconds, requests)), PAIRS, warm_up=5).ratio
    precision = plain.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    figures = {"branch": alike(default, exact), "features": alike(exact, single), "cost": cost}
    print(json.dumps(figures | {"precision": precision, "openvino": ov.__version__.split("-")[0], "maps": len(np.concatenate(default))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
