"""Writes models that turn, cut, pad or resize their input before they look at it: `places.py FOLDER`.

Class 0 of each counts what is white, so that its map has to lie over what is white in the input, wherever the model has
moved it.
"""

import sys
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset1, opset8, opset11
from openvino import opset13 as ops

HEIGHT, WIDTH = 48, 96
MODELS = {}


def model(function):
    MODELS[function.__name__] = function
    return function


def integers(*values):
    return ops.constant(np.array(values, dtype=np.int64))


def image(*shape, name="image"):
    parameter = ops.parameter(list(shape) or [1, 3, HEIGHT, WIDTH], np.float32, name=name)
    parameter.output(0).set_names({name})
    return parameter


def pooled(x, stride=2):
    """Means over windows, twice: a trunk that keeps what is white white."""
    weights = np.zeros((3, 3, 3, 3), np.float32)
    for channel in range(3):
        weights[channel, channel] = 1 / 9
    for _ in range(2):
        x = ops.relu(ops.convolution(x, ops.constant(weights), [stride] * 2, [1, 1], [1, 1], [1, 1]))
    return x


def scores(features, axes=(2, 3)):
    white = np.array([[1, 1, 1], [-1, -1, -1]], np.float32).T
    return ops.matmul(ops.reduce_mean(features, integers(*axes), False), ops.constant(white), False, False)


@model
def plain():
    x = image()
    return [x], scores(pooled(x))


@model
def mirrored():
    x = image()
    turned = opset8.slice(x, integers(-1), integers(-(2**31)), integers(-1), integers(3))
    return [x], scores(pooled(turned))


@model
def mirrored_by_gather():
    x = image()
    order = integers(*reversed(range(WIDTH)))
    return [x], scores(pooled(opset8.gather(x, order, integers(3))))


@model
def upside_down():
    """`x[:, :, ::-1]`, as a StridedSlice with masks."""
    x = image()
    none, masks = integers(0, 0, 0, 0), [1, 1, 1, 1]
    turned = opset1.strided_slice(x, none, none, integers(1, 1, -1, 1), masks, masks)
    return [x], scores(pooled(turned))


@model
def mirrored_of_any_width():
    """Where the last column is depends on the input."""
    x = image(1, 3, -1, -1)
    turned = opset8.slice(x, integers(-1), integers(-(2**31)), integers(-1), integers(3))
    return [x], scores(pooled(turned))


@model
def transposed():
    x = image()
    return [x], scores(pooled(ops.transpose(x, integers(0, 1, 3, 2))))


@model
def turned_by_a_right_angle():
    x = image()
    turned = ops.transpose(x, integers(0, 1, 3, 2))
    turned = opset8.slice(turned, integers(-1), integers(-(2**31)), integers(-1), integers(2))
    return [x], scores(pooled(turned))


@model
def cropped():
    """The left third is cut away."""
    x = image()
    return [x], scores(pooled(opset8.slice(x, integers(32), integers(WIDTH), integers(1), integers(3))))


@model
def padded():
    x = image()
    wide = ops.pad(x, integers(0, 0, 16, 8), integers(0, 0, 0, 24), "constant", np.float32(0))
    return [x], scores(pooled(wide))


@model
def resized():
    x = image()
    small = opset11.interpolate(x, np.array([36, 72], np.int64), "linear_onnx", "sizes", axes=np.array([2, 3], np.int64))
    return [x], scores(pooled(small))


@model
def of_bytes_channels_last():
    x = ops.parameter([1, HEIGHT, WIDTH, 3], np.uint8, name="image")
    x.output(0).set_names({"image"})
    floats = ops.divide(ops.convert(x, np.float32), ops.constant(np.float32(255)))
    return [x], scores(pooled(ops.transpose(floats, integers(0, 3, 1, 2))))


@model
def patches():
    """Patches of 8x8 as channels, by Reshape and Transpose: the first is centred between its pixels 3 and 4."""
    x = image()
    cut = ops.reshape(x, integers(1, 3, HEIGHT // 8, 8, WIDTH // 8, 8), False)
    cut = ops.reshape(ops.transpose(cut, integers(0, 2, 4, 1, 3, 5)), integers(1, 72, 192), False)
    weights = np.kron(np.eye(3, dtype=np.float32), np.full((64, 1), 1 / 64, np.float32))
    tokens = ops.relu(ops.matmul(cut, ops.constant(weights), False, False))
    return [x], scores(tokens, axes=(1,))


@model
def with_its_mirror_image():
    """Test-time augmentation: the mean over the image and its mirror image."""
    x = image()
    turned = opset8.slice(x, integers(-1), integers(-(2**31)), integers(-1), integers(3))
    both = ops.add(scores(pooled(x)), scores(pooled(turned)))
    return [x], ops.multiply(both, ops.constant(np.float32(0.5)))


@model
def joined_with_its_mirror_image():
    """The same, joined while it still is a map: a position of the sum lies nowhere."""
    x = image()
    turned = opset8.slice(x, integers(-1), integers(-(2**31)), integers(-1), integers(3))
    return [x], scores(ops.relu(ops.add(pooled(x), pooled(turned))))


@model
def mirrored_back():
    """As it should be done: the second map is turned back before both are joined."""
    x = image()
    backwards = (integers(-1), integers(-(2**31)), integers(-1), integers(3))
    turned = pooled(opset8.slice(x, *backwards), stride=1)
    return [x], scores(ops.relu(ops.add(pooled(x, stride=1), opset8.slice(turned, *backwards))))


@model
def two_images():
    """The difference of what two images show."""
    x, other = image(name="left"), image(name="right")
    return [x, other], ops.subtract(scores(pooled(x)), scores(pooled(other)))


def main(folder):
    for name, build in MODELS.items():
        inputs, logits = build()
        logits.output(0).set_names({"logits"})
        ov.save_model(ov.Model([ops.result(logits)], inputs, name), folder / f"{name}.xml", compress_to_fp16=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
