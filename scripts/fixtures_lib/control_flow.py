"""Models whose trunk holds control flow: layers with bodies, which are nets of their own."""

import numpy as np
import openvino as ov
from openvino import opset8 as ops

from .convert import name_ports, save
from .registry import fixture

SIZE = (32, 48)
CHANNELS = 16
CLASSES = 5


class Weights:
    """Seeded convolutions and vectors; every call draws new ones."""

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def constant(self, *shape):
        fan_in = np.prod(shape[1:])
        values = self.rng.standard_normal(shape) / np.sqrt(fan_in)
        return ops.constant(values.astype(np.float32))

    def conv(self, value, inputs, outputs, stride):
        """A 3x3 convolution with bias."""
        convolved = ops.convolution(
            value,
            self.constant(outputs, inputs, 3, 3),
            strides=[stride, stride],
            pads_begin=[1, 1],
            pads_end=[1, 1],
            dilations=[1, 1],
        )
        return ops.add(convolved, self.constant(1, outputs, 1, 1))


def image_parameter():
    return ops.parameter([1, 3, *SIZE], np.float32)


def stem(weights, image):
    """A map of 16 channels on 8x12."""
    return ops.relu(weights.conv(ops.relu(weights.conv(image, 3, 8, 2)), 8, CHANNELS, 2))


def classify(weights, value):
    """A last convolution on 4x6, mean and classifier, so that the head itself is plain."""
    features = ops.relu(weights.conv(value, CHANNELS, CHANNELS, 2))
    pooled = ops.reduce_mean(features, ops.constant(np.int64([2, 3])), keep_dims=False)
    scores = ops.matmul(pooled, weights.constant(CLASSES, CHANNELS), False, True)
    return ops.add(scores, weights.constant(1, CLASSES))


def write(path, image, logits):
    save(name_ports(ov.Model([logits], [image])), path)


@fixture("OpenVINO operators")
def with_if(path):
    """An If in the trunk: two bodies with layers and edges of their own."""
    weights, image = Weights(), image_parameter()
    value = stem(weights, image)

    then_input = ops.parameter(value.output(0).partial_shape, np.float32)
    then_body = ov.Model([ops.relu(weights.conv(then_input, CHANNELS, CHANNELS, 1))], [then_input])
    else_input = ops.parameter(value.output(0).partial_shape, np.float32)
    else_body = ov.Model([ops.tanh(weights.conv(else_input, CHANNELS, CHANNELS, 1))], [else_input])

    brightness = ops.reduce_mean(image, ops.constant(np.int64([0, 1, 2, 3])), keep_dims=False)
    branch = ops.if_op(ops.greater(brightness, ops.constant(np.float32(0))).output(0))
    branch.set_then_body(then_body)
    branch.set_else_body(else_body)
    branch.set_input(value.output(0), then_input, else_input)
    result = branch.set_output(then_body.results[0], else_body.results[0])
    write(path, image, classify(weights, result))


@fixture("OpenVINO operators")
def with_loop(path):
    """A Loop in the trunk: the same residual convolution three times."""
    weights, image = Weights(), image_parameter()
    value = stem(weights, image)

    carried = ops.parameter(value.output(0).partial_shape, np.float32)
    step = ops.add(carried, ops.relu(weights.conv(carried, CHANNELS, CHANNELS, 1)))
    go_on = ops.constant(np.array([True]))
    body = ov.Model([go_on.output(0), step.output(0)], [carried])

    loop = ops.loop(ops.constant(np.int64(3)), ops.constant(np.array(True)))
    loop.set_function(body)
    loop.set_special_body_ports([-1, 0])
    loop.set_merged_input(carried, value.output(0), body.results[1].output(0))
    result = loop.get_iter_value(body.results[1].output(0), -1)
    write(path, image, classify(weights, result))


@fixture("OpenVINO operators")
def with_tensor_iterator(path):
    """A TensorIterator in the trunk: rows of the map are read one by one and joined again."""
    weights, image = Weights(), image_parameter()
    value = stem(weights, image)
    batch, channels, height, width = value.output(0).shape

    row = ops.parameter([batch, channels, 1, width], np.float32)
    state = ops.parameter([batch, channels, 1, width], np.float32)
    joined = ops.add(ops.multiply(state, ops.constant(np.float32(0.5))), row)
    step = ops.relu(weights.conv(joined, CHANNELS, CHANNELS, 1))
    body = ov.Model([step], [row, state])

    iterator = ops.tensor_iterator()
    iterator.set_body(body)
    iterator.set_sliced_input(row, value.output(0), 0, 1, 1, height - 1, 2)
    start = ops.constant(np.zeros([batch, channels, 1, width], np.float32))
    iterator.set_merged_input(state, start.output(0), body.results[0].output(0))
    result = iterator.get_concatenated_slices(body.results[0].output(0), 0, 1, 1, height - 1, 2)
    write(path, image, classify(weights, result))
