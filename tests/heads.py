"""Writes small models whose heads test one transfer rule each: `heads.py FOLDER`.

Every model has a convolution and a ReLU, named `features` [N,8,H,W], as its target. The heads are
legal but unusual: operands that line up only because an extent happens to be 1 or equal, maps that
are turned, operations that mean something else on one position. What they have in common is
that a rule that is nearly right gives a map of the right shape with wrong numbers.
"""

import sys
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset8 as op
from openvino import opset16

random = np.random.RandomState(0)
HEADS = {}


def head(function):
    HEADS[function.__name__] = function
    return function


def constant(*shape):
    return op.constant(random.randn(*shape).astype(np.float32))


def integers(values):
    return op.constant(np.array(values, dtype=np.int64))


def number(value):
    return op.constant(np.float32(value))


def trunk(batch=1, height=8, width=6):
    """An image and its features [batch,8,height,width]."""
    image = op.parameter([batch, 3, height, width], np.float32, name="image")
    features = op.convolution(image, constant(8, 3, 3, 3), [1, 1], [1, 1], [1, 1], [1, 1])
    features = op.relu(features)
    features.set_friendly_name("features")
    return image, features


def mean(x, keep=False):
    return op.reduce_mean(x, integers([2, 3]), keep)


def linear(x, classes=5):
    return op.matmul(x, constant(8, classes), False, False)


def pointwise(x, channels=8):
    ones, none = [1, 1], [0, 0]
    return op.convolution(x, constant(channels, 8, 1, 1), ones, none, none, ones)


def near(x):
    return op.convolution(x, constant(8, 8, 3, 3), [1, 1], [1, 1], [1, 1], [1, 1])


def turned(x, *order):
    return op.transpose(x, integers(order))


@head
def identities():
    image, x = trunk()
    return image, opset16.identity(linear(mean(opset16.identity(x))))


@head
def integer_copies():
    image, x = trunk()
    whole = op.convert(op.round(x, "half_to_even"), "i32")
    product = op.multiply(whole, op.convert(op.round(near(x), "half_to_even"), "i32"))
    return image, linear(mean(op.convert(product, "f32")))


@head
def boolean_copies():
    image, x = trunk()
    return image, linear(mean(op.select(op.greater(x, number(0.5)), near(x), number(0.0))))


@head
def rest_along_rows():
    image, x = trunk()
    return image, linear(mean(op.add(x, constant(1, 1, 8, 1))))


@head
def rest_of_lower_rank():
    image, x = trunk()
    return image, linear(mean(op.add(x, constant(8, 6))))


@head
def rest_from_the_image():
    image, x = trunk()
    rows = op.reduce_mean(image, integers([1, 3]), True)
    return image, linear(op.reduce_sum(op.add(x, rows), integers([2, 3]), False))


@head
def square_map_turned():
    image, x = trunk(width=8)
    return image, linear(mean(turned(x, 0, 1, 3, 2)))


@head
def map_turned():
    image, x = trunk()
    return image, linear(op.reduce_mean(turned(x, 0, 3, 2, 1), integers([1, 2]), False))


@head
def tokens_by_columns():
    image, x = trunk()
    tokens = op.reshape(turned(x, 0, 3, 2, 1), integers([0, -1, 8]), True)
    return image, linear(op.reduce_mean(tokens, integers([1]), False))


@head
def whole_kernel_on_a_turned_map():
    image, x = trunk()
    ones, none = [1, 1], [0, 0]
    y = op.convolution(turned(x, 0, 1, 3, 2), constant(8, 8, 6, 8), ones, none, none, ones)
    return image, linear(op.reshape(y, integers([0, 8]), True))


@head
def map_minus_its_turn():
    image, x = trunk(width=8)
    return image, linear(mean(op.relu(op.subtract(x, turned(x, 0, 1, 3, 2)))))


@head
def map_beside_its_turn():
    image, x = trunk(width=8)
    both = op.concat([x, turned(x, 0, 1, 3, 2)], 1)
    ones, none = [1, 1], [0, 0]
    y = op.convolution(both, constant(8, 16, 1, 1), ones, none, none, ones)
    return image, linear(op.reduce_max(y, integers([2, 3]), False))


@head
def tokens_minus_a_row():
    """[1,K,C] - [1,C]: right for one sample, and K copies of the row look like the K tokens."""
    image, x = trunk()
    tokens = turned(op.reshape(x, integers([1, 8, 48]), False), 0, 2, 1)
    centred = op.tanh(op.subtract(tokens, op.reduce_mean(tokens, integers([1]), False)))
    return image, linear(op.reduce_mean(op.multiply(centred, centred), integers([1]), False))


@head
def gate_of_lower_rank():
    image, x = trunk()
    last = turned(x, 0, 2, 3, 1)
    gate = op.sigmoid(op.reduce_mean(last, integers([1, 2]), False))
    return image, linear(op.reduce_mean(op.multiply(last, gate), integers([1, 2]), False))


@head
def classes_before_the_batch():
    image, x = trunk(batch=2)
    scores = op.matmul(constant(5, 8), turned(mean(x), 1, 0), False, False)
    return image, turned(scores, 1, 0)


@head
def softmax_before_the_batch():
    image, x = trunk(batch=2)
    scores = op.matmul(constant(5, 8), mean(x), False, True)
    return image, turned(op.tanh(scores), 1, 0)


@head
def dueling():
    """A value for all classes plus an advantage for each."""
    image, x = trunk()
    pooled = mean(x)
    return image, op.add(linear(pooled), op.matmul(pooled, constant(8, 1), False, False))


@head
def shrunk_axis_with_begin_mask():
    image, x = trunk()
    once = op.unsqueeze(op.sigmoid(x), integers([1]))
    both = op.concat([once, op.multiply(once, number(2.0))], 1)
    cut = op.strided_slice(
        both, integers([0, 1]), integers([0, 2]), integers([1, 1]), [1, 1], [1, 1], [0, 0], [0, 1], [0, 0]
    )
    return image, linear(mean(cut))


@head
def norm_of_one_element():
    image, x = trunk()
    shifted = op.subtract(mean(x, True), constant(1, 8, 1, 1))
    return image, linear(op.reduce_l2(shifted, integers([2, 3]), False))


@head
def slopes_after_pooling():
    image, x = trunk(width=8)
    return image, linear(op.prelu(op.subtract(mean(x), constant(1, 8)), constant(1, 8)))


@head
def slopes_with_channels_last():
    image, x = trunk(width=8)
    last = op.subtract(turned(x, 0, 2, 3, 1), constant(8))
    return image, linear(op.reduce_mean(op.prelu(last, constant(8)), integers([1, 2]), False))


@head
def stride_on_one_position():
    image, x = trunk()
    y = op.convolution(mean(x, True), constant(8, 8, 1, 1), [2, 2], [0, 0], [0, 0], [1, 1])
    return image, linear(op.reshape(y, integers([0, 8]), True))


@head
def quantised_rest():
    """Data of fewer elements than the ranges: the value at the masked positions is one number."""
    image, x = trunk()
    ranges = [op.constant(np.linspace(v, 1.1 * v, 8, dtype=np.float32).reshape(1, 8, 1, 1)) for v in (-8, 8, -8, 8)]
    y = op.fake_quantize(op.add(x, number(0.25)), *ranges, 256)
    return image, linear(mean(y))


@head
def two_pools():
    image, x = trunk()
    average = op.reduce_mean(x, integers([2, 3]), True)
    most = op.reduce_max(x, integers([2, 3]), True)
    both = op.reshape(op.concat([average, most], 1), integers([0, 16]), True)
    return image, op.matmul(both, constant(16, 5), False, False)


@head
def stacked_classifiers():
    """Scores of two classifiers on a new first axis: with a batch of 1 it looks like the batch."""
    image, x = trunk()
    pooled = mean(x)
    parts = [op.unsqueeze(linear(y), integers(0)) for y in (pooled, op.tanh(pooled))]
    return image, op.reduce_sum(op.concat(parts, 0), integers([0]), False)


@head
def squeeze_and_excite():
    image, x = trunk(batch=2)
    gate = op.sigmoid(pointwise(mean(x, True)))
    return image, linear(mean(op.multiply(x, gate)))


def main():
    folder = Path(sys.argv[1])
    for name, build in HEADS.items():
        image, logits = build()
        logits.output(0).get_tensor().set_names({"logits"})
        model = ov.Model([op.result(logits)], [image], name)
        ov.save_model(model, folder / f"{name}.xml", compress_to_fp16=False)


if __name__ == "__main__":
    main()
