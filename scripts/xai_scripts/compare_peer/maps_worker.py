"""Worker: writes the u8 maps of images and prints their shape, in one folder of bytes.

Arguments: the model, the file to write, and JSON with `images` (how many), `method` and `heads`. With a method
`openvino_xai` inserts first; `heads` are the layers and anchors of a detector.
"""

import json
import sys
from pathlib import Path

import numpy
import openvino


def inserted(model, method, heads):
    """What `openvino_xai` makes of a model."""
    import openvino_xai

    if not heads:
        chosen = openvino_xai.Method[method.upper()]
        return openvino_xai.insert_xai(model, task=openvino_xai.Task.CLASSIFICATION, explain_method=chosen)
    # It wants a batch of one.
    model.reshape([1, *model.inputs[0].partial_shape[1:]])
    layers, anchors = heads
    chosen = openvino_xai.Method.DETCLASSPROBABILITYMAP
    arguments = {"target_layer": layers, "num_anchors": anchors}
    return openvino_xai.insert_xai(model, task=openvino_xai.Task.DETECTION, explain_method=chosen, **arguments)


def pictures(port, count):
    """Images for an input, channels where it wants them."""
    _, *size = [dim.get_length() if dim.is_static else 1 for dim in port.partial_shape]
    channels_last = size[-1] == 3
    if channels_last:
        size = [size[-1], *size[:-1]]
    for seed in range(count):
        picture = image(size, seed)
        yield numpy.ascontiguousarray(picture.transpose(0, 2, 3, 1)) if channels_last else picture


def image(size, seed):
    """Blocks of random brightness with noise: alike in every version of NumPy."""
    rng = numpy.random.RandomState(seed)
    channels, height, width = size
    coarse = rng.normal(size=(1, channels, 7, 7))
    rows = numpy.arange(height) * 7 // height
    columns = numpy.arange(width) * 7 // width
    field = coarse[:, :, rows][:, :, :, columns]
    return (field + 0.3 * rng.normal(size=field.shape)).astype(numpy.float32)


def main(path, out, asked):
    """Insert where that is asked for, and run."""
    asked = json.loads(asked)
    core = openvino.Core()
    model = core.read_model(path)
    if asked["method"]:
        model = inserted(model, asked["method"], asked["heads"])
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    port = compiled.output("saliency_map")
    found = [compiled(picture)[port] for picture in pictures(compiled.inputs[0], asked["images"])]
    if any(one.dtype != numpy.uint8 for one in found):
        raise TypeError("the maps are not u8")
    Path(out).write_bytes(b"".join(one.tobytes() for one in found))
    print("x".join(str(dim) for dim in found[0].shape))


if __name__ == "__main__":
    main(*sys.argv[1:])
