"""Writes small classifiers in the ways in which exporters write them: `exports.py FOLDER`.

Two blocks of attention over 4x6 patches, random weights. What differs is how the graph says it: which axis comes first, what is
computed from shapes, which operations stand for a product or a transposition.
"""

import sys
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset8 as ops
from openvino import opset13

WIDTH, HEADS, PATCH, ROWS, COLUMNS, CLASSES = 24, 2, 8, 4, 6, 7
PATCHES = ROWS * COLUMNS
MODELS = {}


def model(function):
    MODELS[function.__name__] = function
    return function


def integers(*values):
    return ops.constant(np.array(values, dtype=np.int64))


def number(value):
    return ops.constant(np.int64(value))


def extent(x, axis):
    """An extent as traces read it off a tensor."""
    return ops.gather(ops.shape_of(x), integers(axis), number(0))


def listed(*parts):
    """A shape of numbers and of extents that are computed."""
    return ops.concat([integers(part) if isinstance(part, int) else part for part in parts], 0)


class Builder:
    """Layers with weights from one seed."""

    def __init__(self, seed=0):
        self.random = np.random.RandomState(seed)

    def constant(self, *shape, scale=None):
        scale = scale or 1 / np.sqrt(shape[-1])
        return ops.constant((self.random.randn(*shape) * scale).astype(np.float32))

    def linear(self, x, inputs, outputs):
        return ops.add(ops.matmul(x, self.constant(outputs, inputs), False, True), self.constant(outputs, scale=0.1))

    def norm(self, x):
        normed = ops.mvn(x, integers(-1), True, 1e-6, "inside_sqrt")
        return ops.add(ops.multiply(normed, self.constant(WIDTH, scale=0.5)), self.constant(WIDTH, scale=0.1))

    def patches(self, image):
        """A map of patches."""
        weight = self.constant(WIDTH, 3, PATCH, PATCH, scale=0.05)
        return ops.convolution(image, weight, [PATCH] * 2, [0, 0], [0, 0], [1, 1])

    def embed(self, tokens):
        """Tokens with a class token before them, and position embeddings."""
        class_token = ops.broadcast(self.constant(1, 1, WIDTH), listed(extent(tokens, 0), 1, WIDTH))
        return ops.add(ops.concat([class_token, tokens], 1), self.constant(1, 1 + PATCHES, WIDTH, scale=0.3))

    def network(self, x, attention):
        """Two blocks, and what is read of the class token."""
        for _ in range(2):
            x = ops.add(x, attention(self, self.norm(x)))
            hidden = ops.gelu(self.linear(self.norm(x), WIDTH, 2 * WIDTH), "erf")
            x = ops.add(x, self.linear(hidden, 2 * WIDTH, WIDTH))
        return self.linear(ops.gather(self.norm(x), number(0), number(1)), WIDTH, CLASSES)


def tokens_of(map_):
    """Patches of a map as tokens, by extents that are read off it."""
    count = ops.multiply(extent(map_, 2), extent(map_, 3))
    flat = ops.reshape(map_, listed(extent(map_, 0), WIDTH, count), False)
    return ops.transpose(flat, integers(0, 2, 1))


def tokens_first(build, x, static):
    """nn.MultiheadAttention: tokens before samples, both joined for the projection of results."""
    count, size = 1 + PATCHES, WIDTH // HEADS
    # With one sample exporters write transpositions as Reshapes.
    turned = ops.reshape(x, integers(count, 1, 0), True) if static else ops.transpose(x, integers(1, 0, 2))
    joined = ops.reshape(build.linear(turned, WIDTH, 3 * WIDTH), integers(count, 0, 3, WIDTH), True)
    parts = ops.squeeze(ops.unsqueeze(joined, integers(0)), integers(0))
    parts = ops.transpose(parts, integers(2, 0, 1, 3))

    def heads(i):
        part = ops.reshape(ops.gather(parts, number(i), number(0)), integers(count, -1, size), False)
        return ops.reshape(ops.transpose(part, integers(1, 0, 2)), integers(-1, HEADS, count, size), False)

    mixed = opset13.scaled_dot_product_attention(heads(0), heads(1), heads(2))
    rows = ops.reshape(ops.transpose(mixed, integers(2, 0, 1, 3)), integers(-1, WIDTH), False)
    rows = build.linear(rows, WIDTH, WIDTH)
    if static:
        return ops.reshape(rows, integers(1, count, WIDTH), False)
    return ops.transpose(ops.reshape(rows, integers(count, -1, WIDTH), False), integers(1, 0, 2))


@model
def tokens_first_of_any_shape():
    build, image = Builder(), ops.parameter([-1, 3, -1, -1], np.float32, name="image")
    tokens = build.embed(tokens_of(build.patches(image)))
    return image, build.network(tokens, lambda build, x: tokens_first(build, x, static=False))


@model
def tokens_first_of_one_sample():
    build, image = Builder(), ops.parameter([1, 3, ROWS * PATCH, COLUMNS * PATCH], np.float32, name="image")
    tokens = build.embed(tokens_of(build.patches(image)))
    return image, build.network(tokens, lambda build, x: tokens_first(build, x, static=True))


def summed(build, x):
    """Attention as sums of products, its scale computed from a shape."""
    heads = [ops.reshape(build.linear(x, WIDTH, WIDTH), integers(0, 0, HEADS, WIDTH // HEADS), True) for _ in range(3)]
    query, key, value = (ops.transpose(part, integers(0, 2, 1, 3)) for part in heads)
    size = ops.convert(ops.divide(extent(x, 2), integers(HEADS)), np.float32)
    scale = ops.power(size, ops.constant(np.float32(-0.5)))
    weights = ops.softmax(ops.multiply(ops.einsum([query, key], "bhid,bhjd->bhij"), scale), -1)
    mixed = ops.transpose(ops.einsum([weights, value], "bhij,bhjd->bhid"), integers(0, 2, 1, 3))
    return build.linear(ops.reshape(mixed, integers(0, 0, WIDTH), True), WIDTH, WIDTH)


def of_keras(build, x):
    """`keras.layers.MultiHeadAttention`: projections are sums of products too."""
    size = WIDTH // HEADS
    query, key, value = (
        ops.add(ops.einsum([x, build.constant(WIDTH, HEADS, size)], "abc,cde->abde"), build.constant(HEADS, size, scale=0.1))
        for _ in range(3)
    )
    query = ops.multiply(query, ops.constant(np.float32(size**-0.5)))
    weights = ops.softmax(ops.einsum([key, query], "aecd,abcd->acbe"), -1)
    mixed = ops.einsum([weights, value], "acbe,aecd->abcd")
    return ops.einsum([mixed, build.constant(HEADS, size, WIDTH)], "abcd,cde->abe")


@model
def sums_of_products():
    build, image = Builder(), ops.parameter([-1, 3, ROWS * PATCH, COLUMNS * PATCH], np.float32, name="image")
    return image, build.network(build.embed(tokens_of(build.patches(image))), summed)


@model
def sums_of_products_of_keras():
    build, image = Builder(), ops.parameter([-1, 3, ROWS * PATCH, COLUMNS * PATCH], np.float32, name="image")
    return image, build.network(build.embed(tokens_of(build.patches(image))), of_keras)


def padded(x, window):
    """A map [N,H,W,C] padded to whole windows, by as much as its shape says."""
    missing = [
        ops.floor_mod(ops.subtract(integers(window), ops.floor_mod(extent(x, axis), integers(window))), integers(window))
        for axis in (1, 2)
    ]
    return ops.pad(x, integers(0, 0, 0, 0), listed(0, *missing, 0), "constant", ops.constant(np.float32(0)))


def windowed(build, x, window=4):
    """Attention within windows, as Swin has it."""
    whole = padded(x, window)
    samples = extent(x, 0)
    rows, columns = (ops.divide(extent(whole, axis), integers(window)) for axis in (1, 2))
    cut = ops.reshape(whole, listed(samples, rows, window, columns, window, WIDTH), False)
    cut = ops.transpose(cut, integers(0, 1, 3, 2, 4, 5))
    count = ops.multiply(samples, ops.multiply(rows, columns))
    tokens = ops.reshape(cut, listed(count, window * window, WIDTH), False)
    query, key, value = (build.linear(tokens, WIDTH, WIDTH) for _ in range(3))
    weights = ops.softmax(ops.matmul(query, key, False, True), -1)
    mixed = build.linear(ops.matmul(weights, value, False, False), WIDTH, WIDTH)
    back = ops.reshape(mixed, listed(samples, rows, columns, window, window, WIDTH), False)
    back = ops.reshape(ops.transpose(back, integers(0, 1, 3, 2, 4, 5)), ops.shape_of(whole), False)
    sizes = listed(extent(x, 1), extent(x, 2))
    return ops.slice(back, integers(0, 0), sizes, integers(1, 1), integers(1, 2))


@model
def windows_of_any_shape():
    build, image = Builder(), ops.parameter([-1, 3, -1, -1], np.float32, name="image")
    x = ops.transpose(build.patches(image), integers(0, 2, 3, 1))
    x = ops.add(x, windowed(build, build.norm(x)))
    # Patches are merged, as Swin does between its stages; what is odd is padded.
    x = padded(x, 2)
    parts = [
        ops.slice(x, integers(row, column), integers(2**31 - 1, 2**31 - 1), integers(2, 2), integers(1, 2))
        for column in (0, 1)
        for row in (0, 1)
    ]
    x = build.linear(ops.concat(parts, -1), 4 * WIDTH, WIDTH)
    x = ops.add(x, windowed(build, build.norm(x)))
    pooled = ops.reduce_mean(build.norm(x), integers(1, 2), False)
    return image, build.linear(pooled, WIDTH, CLASSES)


@model
def read_in_steps():
    """`as_strided` before a classifier: a list of all elements, and a gather of their places."""
    build, image = Builder(), ops.parameter([1, 3, ROWS * PATCH, COLUMNS * PATCH], np.float32, name="image")
    pooled = ops.reduce_mean(ops.relu(build.patches(image)), integers(2, 3), True)
    places = ops.constant(np.arange(WIDTH, dtype=np.int64).reshape(1, WIDTH, 1, 1))
    strided = ops.gather(ops.reshape(pooled, integers(-1), False), places, number(0))
    vectors = build.norm(ops.reshape(strided, integers(0, 1, 1, WIDTH), True))
    return image, build.linear(ops.reshape(vectors, integers(1, WIDTH), False), WIDTH, CLASSES)


@model
def stacked_heads():
    """Two results of one sample, joined along its axis, and their mean."""
    build, image = Builder(), ops.parameter([1, 3, ROWS * PATCH, COLUMNS * PATCH], np.float32, name="image")
    features = ops.relu(build.patches(image))
    pooled = [ops.reduce_mean(features, integers(2, 3), False), ops.reduce_max(features, integers(2, 3), False)]
    scores = [build.linear(part, WIDTH, CLASSES) for part in pooled]
    return image, ops.reduce_mean(ops.concat(scores, 0), integers(0), True)


@model
def patches_as_input():
    """Rows of patches, as SigLIP2 takes them."""
    build, image = Builder(), ops.parameter([-1, PATCHES, 48], np.float32, name="patches")
    return image, build.network(build.embed(build.linear(image, 48, WIDTH)), summed)


@model
def grid_by_size_alone():
    """The graph says how many patches there are, and where rows end only behind that."""
    build, image = Builder(), ops.parameter([-1, 3, -1, -1], np.float32, name="image")
    weight = build.constant(WIDTH, 3, 56, 56, scale=0.02)
    map_ = ops.convolution(image, weight, [56, 56], [0, 0], [0, 0], [1, 1])
    x = ops.transpose(ops.reshape(map_, integers(1, WIDTH, 16), False), integers(0, 2, 1))
    x = ops.transpose(ops.reshape(x, integers(1, 2, 2, 2, 2, WIDTH), False), integers(0, 2, 4, 1, 3, 5))
    x = ops.reshape(ops.gelu(build.linear(x, WIDTH, WIDTH), "erf"), integers(1, 4, 4, WIDTH), False)
    return image, build.linear(ops.reduce_mean(build.norm(x), integers(1, 2), False), WIDTH, CLASSES)


def main(folder):
    for name, function in MODELS.items():
        image, scores = function()
        scores.output(0).get_tensor().set_names({"logits"})
        path = Path(folder) / f"{name}.xml"
        ov.save_model(ov.Model([scores], [image], name), path, compress_to_fp16=False)


if __name__ == "__main__":
    main(sys.argv[1])
