"""Writes small transformers that went wrong once, each for a kind: `tokens.py FOLDER`.

Two blocks of attention over 24 patches and one or two class tokens, 16 channels, two heads, random weights.
"""

import sys
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

WIDTH, HEADS, PATCH, ROWS, COLUMNS = 16, 2, 8, 6, 4
MODELS = {}


def model(function):
    MODELS[function.__name__] = function
    return function


class Builder:
    """Layers with weights from one seed; `half` keeps weights in half precision behind a Convert, `guarded` writes a guard
    against what is no number behind each Softmax.
    """

    def __init__(self, seed=0, half=False, guarded=False):
        self.random, self.half, self.guarded = np.random.RandomState(seed), half, guarded

    def constant(self, *shape, scale=None):
        scale = scale or 1 / np.sqrt(shape[-1])
        values = (self.random.randn(*shape) * scale).astype(np.float16 if self.half else np.float32)
        return ops.convert(ops.constant(values), np.float32) if self.half else ops.constant(values)

    def linear(self, x, inputs, outputs):
        product = ops.matmul(x, self.constant(outputs, inputs), False, True)
        return ops.add(product, self.constant(1, 1, outputs, scale=0.1))

    def norm(self, x):
        normed = ops.mvn(x, integers(2), True, 1e-6, "inside_sqrt")
        return ops.add(ops.multiply(normed, self.constant(1, 1, WIDTH, scale=0.5)), self.constant(1, 1, WIDTH, scale=0.1))

    def embed(self, image, tokens):
        weight = self.constant(WIDTH, 3, PATCH, PATCH, scale=0.05)
        map_ = ops.convolution(image, weight, [PATCH] * 2, [0, 0], [0, 0], [1, 1])
        patches = ops.transpose(ops.reshape(map_, integers(0, WIDTH, ROWS * COLUMNS), True), integers(0, 2, 1))
        joined = ops.concat([ops.constant(self.random.randn(1, tokens, WIDTH).astype(np.float32)), patches], 1)
        return ops.add(joined, self.constant(1, tokens + ROWS * COLUMNS, WIDTH, scale=0.3))

    def attention(self, x, tokens):
        count = tokens + ROWS * COLUMNS
        joined = ops.reshape(self.linear(x, WIDTH, 3 * WIDTH), integers(0, count, 3, HEADS, WIDTH // HEADS), True)
        parts = ops.split(ops.transpose(joined, integers(2, 0, 3, 1, 4)), ops.constant(np.int64(0)), 3)
        query, key, value = (ops.squeeze(parts.output(i), integers(0)) for i in range(3))
        result = self.attend(query, key, value)
        return ops.reshape(ops.transpose(result, integers(0, 2, 1, 3)), integers(0, count, WIDTH), True)

    def attend(self, query, key, value):
        if not self.guarded:
            return ops.scaled_dot_product_attention(query, key, value)
        scores = ops.matmul(query, key, False, True)
        weights = ops.softmax(ops.multiply(scores, ops.constant(np.float32((WIDTH // HEADS) ** -0.5))), -1)
        weights = ops.select(ops.is_nan(weights), ops.constant(np.float32(0)), weights)
        return ops.matmul(weights, value, False, False)

    def block(self, x, tokens, scale=False, norm=None):
        scaled = (lambda y: ops.multiply(y, self.constant(1, 1, WIDTH, scale=0.5))) if scale else (lambda y: y)
        norm = norm or self.norm
        x = ops.add(x, scaled(self.linear(self.attention(norm(x), tokens), WIDTH, WIDTH)))
        hidden = ops.gelu(self.linear(norm(x), WIDTH, 2 * WIDTH), "erf")
        return ops.add(x, scaled(self.linear(hidden, 2 * WIDTH, WIDTH)))


def integers(*values):
    return ops.constant(np.array(values, dtype=np.int64))


def parameter():
    return ops.parameter([1, 3, ROWS * PATCH, COLUMNS * PATCH], np.float32, name="image")


def token(x, index):
    return ops.gather(x, ops.constant(np.int64(index)), ops.constant(np.int64(1)))


@model
def two_tokens_two_heads():
    """As many class tokens as heads: OpenVINO's CPU plugin mistakes one axis for the other."""
    build, image = Builder(), parameter()
    x = build.embed(image, 2)
    for _ in range(2):
        x = build.block(x, 2)
    x = build.norm(x)
    first, second = (ops.matmul(token(x, i), build.constant(5, WIDTH), False, True) for i in range(2))
    return image, ops.add(first, second)


@model
def batch_norm_over_tokens():
    """A batch norm on [N, tokens, C]: each token has parameters of its own."""
    build, image = Builder(), parameter()

    def norm(x):
        count = 1 + ROWS * COLUMNS
        random = build.random
        values = [random.rand(count) + 0.5, random.randn(count) * 0.1, random.randn(count) * 0.1, random.rand(count) + 0.5]
        gamma, beta, mean, variance = (ops.constant(value.astype(np.float32)) for value in values)
        return ops.batch_norm_inference(x, gamma, beta, mean, variance, 1e-5)

    x = build.embed(image, 1)
    for _ in range(2):
        x = build.block(x, 1, norm=norm)
    return image, ops.matmul(token(build.norm(x), 0), build.constant(5, WIDTH), False, True)


@model
def guarded_softmax():
    """A guard behind each Softmax, as PyTorch's exporter to ONNX (dynamo=True) writes it."""
    build, image = Builder(guarded=True), parameter()
    x = build.embed(image, 1)
    for _ in range(2):
        x = build.block(x, 1)
    return image, ops.matmul(token(build.norm(x), 0), build.constant(5, WIDTH), False, True)


@model
def layer_scale_in_half_precision():
    """Products that are scaled by a constant, of weights behind a Convert, read by the class token and the mean."""
    build, image = Builder(half=True), parameter()
    x = build.embed(image, 1)
    for _ in range(3):
        x = build.block(x, 1, scale=True)
    x = build.norm(x)
    mean = ops.reduce_mean(ops.slice(x, integers(1), integers(2**31 - 1), integers(1), integers(1)), integers(1), False)
    return image, ops.matmul(ops.concat([token(x, 0), mean], 1), build.constant(5, 2 * WIDTH), False, True)


@model
def batch_last():
    """Two images, whose axis goes last in between, behind channels and tokens: the layer `turned`."""
    build = Builder()
    image = ops.parameter([2, 3, ROWS * PATCH, COLUMNS * PATCH], np.float32, name="image")
    joined = np.concatenate([np.zeros((1, 1, WIDTH))] * 2).astype(np.float32)
    weight = build.constant(WIDTH, 3, PATCH, PATCH, scale=0.05)
    map_ = ops.convolution(image, weight, [PATCH] * 2, [0, 0], [0, 0], [1, 1])
    patches = ops.transpose(ops.reshape(map_, integers(0, WIDTH, ROWS * COLUMNS), True), integers(0, 2, 1))
    x = build.block(ops.concat([ops.constant(joined), patches], 1), 1)
    turned = ops.transpose(x, integers(2, 1, 0))
    turned.set_friendly_name("turned")
    x = build.block(ops.transpose(turned, integers(2, 1, 0)), 1)
    return image, ops.matmul(token(build.norm(x), 0), build.constant(5, WIDTH), False, True)


@model
def grid_of_any_size():
    """Tokens of an image of any size, read by their mean: the grid is that of the patches."""
    build = Builder()
    image = ops.parameter([1, 3, -1, -1], np.float32, name="image")
    weight = build.constant(WIDTH, 3, PATCH, PATCH, scale=0.05)
    map_ = ops.convolution(image, weight, [PATCH] * 2, [0, 0], [0, 0], [1, 1])
    tokens = ops.transpose(ops.reshape(map_, integers(0, WIDTH, -1), True), integers(0, 2, 1))
    tokens = ops.add(tokens, ops.gelu(build.linear(build.norm(tokens), WIDTH, WIDTH), "erf"))
    return image, ops.matmul(ops.reduce_mean(tokens, integers(1), False), build.constant(5, WIDTH), False, True)


@model
def compressed_head():
    """Weights of 8 bits with zero points and a scale for each row (as NNCF writes them), before the classes."""
    build, image = Builder(), parameter()
    weight = build.constant(32, 3, 3, 3, scale=0.3)
    map_ = ops.relu(ops.convolution(image, weight, [4, 4], [1, 1], [1, 1], [1, 1]))
    pooled = ops.reduce_mean(map_, integers(2, 3), False)
    stored = build.random.randint(0, 256, (10, 32)).astype(np.uint8)
    zero = build.random.randint(120, 136, (10, 1)).astype(np.uint8)
    numbers = ops.subtract(ops.convert(ops.constant(stored), np.float16), ops.convert(ops.constant(zero), np.float16))
    numbers = ops.multiply(numbers, ops.constant((0.01 + 0.001 * build.random.rand(10, 1)).astype(np.float16)))
    return image, ops.matmul(pooled, ops.convert(numbers, np.float32), False, True)


def main():
    folder = Path(sys.argv[1])
    for name, build in MODELS.items():
        image, logits = build()
        logits.output(0).set_names({"logits"})
        ov.save_model(ov.Model([ops.result(logits)], [image], name), folder / f"{name}.xml", compress_to_fp16=False)


if __name__ == "__main__":
    main()
