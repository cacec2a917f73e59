#!/usr/bin/env python3
"""Compare what added layers declare for their outputs with what OpenVINO infers.

    infer_dims.py FOLDER

Reads every XML in FOLDER. Prints a line for each layer whose element type or dimensions differ, and at last how
many outputs were compared.
"""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy
import openvino

# Of the two spellings of an element type, the one on ports; the rest differ in case only.
PRECISIONS = {"boolean": "BOOL", "f32": "FP32", "f16": "FP16", "bf16": "BF16", "f64": "FP64"}


def declared(path):
    """Element type and dimensions of each output of each added layer."""
    layers = ElementTree.parse(path).getroot().find("layers")
    added = [layer for layer in layers if layer.get("name").startswith("xai/")]
    return {
        layer.get("name"): [
            (port.get("precision"), [int(dim.text) for dim in port.findall("dim")])
            for port in layer.findall("output/port")
        ]
        for layer in added
        if layer.get("type") != "Result"
    }


def inferred(output):
    """The same for an output of a model that OpenVINO has read."""
    element = output.get_element_type().get_type_name()
    shape = output.get_partial_shape()
    dims = [dim.get_length() if dim.is_static else -1 for dim in shape]
    return PRECISIONS.get(element, element.upper()), dims


def read(core, path):
    """Read a model as it is. Of version 10 OpenVINO would change types and layers, as its first API wants them."""
    text = path.read_bytes()
    if b'version="10"' not in text[: text.index(b"<layers")]:
        return core.read_model(path)
    weights = numpy.fromfile(path.with_suffix(".bin"), numpy.uint8)
    return core.read_model(text.replace(b'version="10"', b'version="11"', 1), openvino.Tensor(weights))


def check(core, path):
    """Print what differs in one model; return the numbers of outputs and of differences."""
    layers = declared(path)
    model = read(core, path)
    compared = wrong = 0
    for operation in model.get_ordered_ops():
        for output, said in zip(operation.outputs(), layers.pop(operation.get_friendly_name(), [])):
            found = inferred(output)
            compared += 1
            if found != said:
                wrong += 1
                name = operation.get_friendly_name()
                print(f"{path.name}: {name} ({operation.get_type_name()}) declares {said}, is {found}")
    for name in layers:
        wrong += 1
        print(f"{path.name}: {name} is not there")
    return compared, wrong


def main():
    core = openvino.Core()
    counts = [check(core, path) for path in sorted(Path(sys.argv[1]).glob("*.xml"))]
    print(f"{sum(compared for compared, _ in counts)} outputs compared")
    return 1 if not counts or any(wrong or not compared for compared, wrong in counts) else 0


if __name__ == "__main__":
    sys.exit(main())
