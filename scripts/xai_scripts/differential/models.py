"""Random classifiers: convolutional ones and transformers, small, with extents that are equal on purpose."""

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from .parts import Parts, integers, named, second_readers


def model(random):
    """A model, and what is said of it."""
    parts = Parts(random)
    build, kind = (convolutional, "cnn") if parts.likely(0.45) else (transformer, "vit")
    image, logits, classes = build(parts)
    if parts.likely(0.3):
        logits = parts.choose(lambda y: ops.softmax(y, 1), ops.sigmoid)(logits)
    logits.output(0).set_names({"logits"})
    found = ov.Model([ops.result(logits)], [image], kind)
    found = second_readers(named(found, random), random)
    return found, kind, classes


def parameter(parts, height, width):
    batch = parts.choose(1, 1, 2, 3, -1)
    image = ops.parameter([batch, 3, height, width], np.float32, name="image")
    image.output(0).set_names({"image"})
    return image


def classes_of(parts, *equal):
    return int(parts.choose(2, 3, 5, *equal))


def convolutional(parts):
    height, width = int(parts.choose(8, 12)), int(parts.choose(8, 12, 16))
    channels = int(parts.choose(4, 6, 8))
    image = parameter(parts, height, width)
    x = parts.activation(parts.convolution(image, 3, channels, 3, 2))
    if parts.likely(0.4):
        x = ops.relu(parts.convolution(x, channels, channels, 3, 2))
    for _ in range(int(parts.random.integers(4))):
        x = parts.the_same(in_map(parts, x, channels))
    rows, columns = (dim.get_length() for dim in list(x.get_output_partial_shape(0))[2:])
    classes = classes_of(parts, channels, rows * columns)
    x, width = pooled(parts, x, channels, rows * columns)
    if parts.likely(0.4):
        hidden = int(parts.choose(channels, 6))
        x, width = parts.activation(parts.linear(x, width, hidden)), hidden
    return image, parts.linear(x, width, classes), classes


def in_map(parts, x, channels):
    """What maps pass through between the trunk and the pooling."""

    def gated(y):
        gate = ops.reduce_mean(y, integers(2, 3), True)
        gate = ops.sigmoid(parts.convolution(ops.relu(parts.convolution(gate, channels, 2)), 2, channels))
        return ops.multiply(y, gate) if parts.likely(0.5) else ops.multiply(gate, y)

    def tokens(y):
        flat = ops.transpose(ops.reshape(y, integers(0, channels, -1), True), integers(0, 2, 1))
        flat = parts.linear(parts.norm(flat, 2, channels), channels, channels)
        rows, columns = (dim.get_length() for dim in list(y.get_output_partial_shape(0))[2:])
        return ops.reshape(ops.transpose(flat, integers(0, 2, 1)), integers(0, channels, rows, columns), True)

    def channels_last(y):
        y = ops.transpose(y, integers(0, 2, 3, 1))
        y = parts.activation(parts.linear(parts.norm(y, 3, channels), channels, channels))
        return ops.transpose(y, integers(0, 3, 1, 2))

    kinds = (
        parts.activation,
        lambda y: parts.activation(parts.convolution(y, channels, channels)),
        lambda y: parts.norm(y, 1, channels),
        lambda y: ops.add(y, parts.activation(parts.convolution(y, channels, channels))),
        lambda y: parts.convolution(y, channels, channels, 3),
        lambda y: ops.max_pool(y, [1, 1], [1, 1], [1, 1], [1, 1], [3, 3]).output(0),
        lambda y: ops.multiply(y, parts.constant(1, channels, 1, 1, around=1.0)),
        lambda y: ops.avg_pool(y, [1, 1], [1, 1], [1, 1], [3, 3], False),
        gated,
        tokens,
        channels_last,
    )
    found = parts.choose(*kinds)(x)
    return found.get_node() if hasattr(found, "get_node") else found


def pooled(parts, x, channels, positions):
    """A map as a vector, and how many numbers that is."""
    axes = integers(2, 3)

    def flat(y, width):
        return ops.reshape(y, integers(0, width), True)

    def generalized(y):
        power = ops.constant(np.float32(3))
        kept = ops.power(ops.clamp(y, 1e-6, 1e6), power)
        return ops.power(ops.reduce_mean(kept, axes, False), ops.constant(np.float32(1 / 3)))

    kinds = (
        lambda y: (ops.reduce_mean(y, axes, False), channels),
        lambda y: (ops.reduce_mean(y, axes, False), channels),
        lambda y: (flat(ops.reduce_mean(y, axes, True), channels), channels),
        lambda y: (ops.reduce_max(y, axes, False), channels),
        lambda y: (ops.reduce_sum(y, axes, False), channels),
        lambda y: (generalized(y), channels),
        lambda y: (flat(y, channels * positions), channels * positions),
        lambda y: (
            ops.concat([ops.reduce_mean(y, axes, False), ops.reduce_max(y, axes, False)], 1),
            2 * channels,
        ),
        lambda y: (flat(ops.adaptive_avg_pool(y, integers(1, 1)), channels), channels),
    )
    return parts.choose(*kinds)(x)


def transformer(parts):
    """Patches as tokens after 0 to 3 that belong to no position, blocks, and a head that reads some of them."""
    patch = 4
    rows, columns = int(parts.choose(2, 3)), int(parts.choose(2, 3, 4))
    heads, prefix = int(parts.choose(1, 2, 3, 4)), int(parts.choose(0, 1, 1, 2, 3))
    tokens = prefix + rows * columns
    # With as many heads as tokens, OpenVINO 2026.4.1 itself gets logits wrong by a tenth and more.
    heads = heads if heads != tokens else 2
    # A norm of two channels is the sign of their difference: rounding decides it.
    each = int(parts.choose(2, 4)) if heads > 1 else 4
    width = heads * each
    image = parameter(parts, rows * patch, columns * patch)
    weight = parts.constant(width, 3, patch, patch)
    x = ops.convolution(image, weight, [patch] * 2, [0, 0], [0, 0], [1, 1])
    x = ops.transpose(ops.reshape(x, integers(0, width, rows * columns), True), integers(0, 2, 1))
    if prefix:
        before = ops.constant(parts.random.standard_normal((1, prefix, width)).astype(np.float32))
        batch = ops.gather(ops.shape_of(image), integers(0), ops.constant(np.int64(0)))
        wide = ops.concat([batch, integers(prefix, width)], 0)
        x = ops.concat([ops.broadcast(before, wide), x], 1)
    x = ops.add(x, parts.constant(1, tokens, width, scale=0.4))
    layers = Blocks(parts, width, heads, tokens)
    for _ in range(int(parts.choose(1, 2, 2, 3))):
        x = parts.the_same(layers.block(x))
    if parts.likely(0.7):
        x = parts.norm(x, 2, width)
    classes = classes_of(parts, heads, width, tokens)
    x, size = layers.read(x, prefix)
    return image, parts.linear(x, size, classes), classes


class Blocks:
    """Attention blocks of one model, all written alike."""

    def __init__(self, parts, width, heads, tokens):
        self.parts, self.width, self.heads, self.tokens = parts, width, heads, tokens
        self.fused, self.joined, self.folded = (parts.likely(share) for share in (0.5, 0.5, 0.25))
        self.scaled, self.gated, self.normed, self.biased = (parts.likely(share) for share in (0.3, 0.3, 0.2, 0.2))
        self.before, self.parallel = parts.likely(0.8), parts.likely(0.15)

    def scale(self, x):
        return ops.multiply(x, self.parts.constant(self.width, scale=0.3, around=0.5)) if self.scaled else x

    def norm(self, x):
        return self.parts.norm(x, 2, self.width)

    def block(self, x):
        if self.parallel:
            normed = self.norm(x)
            return ops.add(ops.add(x, self.scale(self.attention(normed))), self.scale(self.hidden(normed)))
        if not self.before:
            x = self.norm(ops.add(x, self.scale(self.attention(x))))
            return self.norm(ops.add(x, self.scale(self.hidden(x))))
        x = ops.add(x, self.scale(self.attention(self.norm(x))))
        return ops.add(x, self.scale(self.hidden(self.norm(x))))

    def hidden(self, x):
        inner = 2 * self.width
        if not self.gated:
            return self.parts.linear(self.parts.activation(self.parts.linear(x, self.width, inner)), inner, self.width)
        both = ops.split(self.parts.linear(x, self.width, 2 * inner), ops.constant(np.int64(2)), 2)
        return self.parts.linear(ops.multiply(ops.swish(both.output(0)), both.output(1)), inner, self.width)

    def parts_of(self, x):
        """Queries, keys and values `[N, heads, tokens, each]`."""
        each = self.width // self.heads
        if self.joined:
            y = self.parts.linear(x, self.width, 3 * self.width)
            y = ops.reshape(y, integers(0, self.tokens, 3, self.heads, each), True)
            y = ops.transpose(y, integers(2, 0, 3, 1, 4))
            three = ops.split(y, ops.constant(np.int64(0)), 3)
            return [ops.squeeze(three.output(i), integers(0)) for i in range(3)]
        split = integers(0, self.tokens, self.heads, each)
        made = (self.parts.linear(x, self.width, self.width) for _ in range(3))
        return [ops.transpose(ops.reshape(y, split, True), integers(0, 2, 1, 3)) for y in made]

    def attention(self, x):
        each = self.width // self.heads
        query, key, value = self.parts_of(x)
        if self.normed and each > 2:
            query, key = (self.parts.norm(y, 3, each) for y in (query, key))
        bias = self.parts.constant(1, self.heads, self.tokens, self.tokens, scale=0.5) if self.biased else None
        if self.fused:
            inputs = [query, key, value] + ([bias] if bias else [])
            y = ops.scaled_dot_product_attention(*inputs)
        else:
            y = self.written_out(query, key, value, bias)
        y = ops.reshape(ops.transpose(y, integers(0, 2, 1, 3)), integers(0, self.tokens, self.width), True)
        return self.parts.linear(y, self.width, self.width)

    def written_out(self, query, key, value, bias):
        each = self.width // self.heads
        folded = self.folded and bias is None
        if folded:
            flat = integers(-1, self.tokens, each)
            query, key, value = (ops.reshape(y, flat, False) for y in (query, key, value))
        scores = ops.matmul(query, key, False, True)
        scores = ops.multiply(scores, ops.constant(np.float32(1 / np.sqrt(each))))
        scores = ops.add(scores, bias) if bias else scores
        y = ops.matmul(ops.softmax(scores, -1), value, False, False)
        return ops.reshape(y, integers(-1, self.heads, self.tokens, each), False) if folded else y

    def read(self, x, prefix):
        """What the classes are made of, and how many numbers that is."""

        def token(index):
            return ops.gather(x, ops.constant(np.int64(index)), ops.constant(np.int64(1)))

        def mean():
            patches = ops.slice(x, integers(prefix), integers(2**31 - 1), integers(1), integers(1))
            return ops.reduce_mean(patches if prefix else x, integers(1), False)

        kinds = [lambda: (mean(), self.width), lambda: (ops.reduce_mean(x, integers(1), False), self.width)]
        if prefix:
            kinds += [lambda: (token(0), self.width)] * 2
            kinds.append(lambda: (ops.concat([token(0), mean()], 1), 2 * self.width))
        if prefix > 1:
            kinds.append(lambda: (ops.add(token(0), token(1)), self.width))
        return self.parts.choose(*kinds)()
