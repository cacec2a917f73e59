"""Parts of random models: constants and layers, by names that may not be unique."""

import numpy as np
import openvino as ov
from openvino import opset8
from openvino import opset13 as ops


def integers(*values):
    return ops.constant(np.array(values, dtype=np.int64))


class Parts:
    """Layers with weights from one generator; some weights lie in half precision behind a Convert."""

    def __init__(self, random):
        self.random = random
        self.half = random.random() < 0.2

    def choose(self, *choices):
        return choices[self.random.integers(len(choices))]

    def likely(self, share):
        return self.random.random() < share

    def constant(self, *shape, scale=None, around=0.0):
        scale = scale or 1 / np.sqrt(max(np.prod(shape[1:]), 1))
        values = around + scale * self.random.standard_normal(shape)
        if self.half:
            return ops.convert(ops.constant(values.astype(np.float16)), np.float32)
        return ops.constant(values.astype(np.float32))

    def activation(self, x):
        kinds = (
            ops.relu,
            ops.sigmoid,
            ops.tanh,
            ops.hswish,
            ops.mish,
            lambda y: ops.gelu(y, "erf"),
            lambda y: ops.swish(y),
            lambda y: ops.elu(y, 1.0),
            lambda y: ops.clamp(y, -0.5, 2.0),
            lambda y: ops.prelu(y, ops.constant(np.float32([0.2]))),
            ops.abs,
        )
        return self.choose(*kinds)(x)

    def linear(self, x, inputs, outputs, bias=True):
        """The last axis from `inputs` to `outputs` channels."""
        if self.likely(0.5):
            x = ops.matmul(x, self.constant(outputs, inputs), False, True)
        else:
            x = ops.matmul(x, self.constant(inputs, outputs, scale=1 / np.sqrt(inputs)), False, False)
        rank = len(x.get_output_partial_shape(0))
        shape = (outputs,) if self.likely(0.5) else (1,) * (rank - 1) + (outputs,)
        return ops.add(x, self.constant(*shape, scale=0.2)) if bias and self.likely(0.8) else x

    def convolution(self, x, inputs, outputs, kernel=1, stride=1):
        pad = [kernel // 2] * 2
        weight = self.constant(outputs, inputs, kernel, kernel)
        x = ops.convolution(x, weight, [stride] * 2, pad, pad, [1, 1])
        return ops.add(x, self.constant(1, outputs, 1, 1, scale=0.2)) if self.likely(0.7) else x

    def norm(self, x, axis, width):
        """A norm over channels, with or without an affine part."""
        rank = len(x.get_output_partial_shape(0))
        axes = integers(axis if self.likely(0.5) else axis - rank)
        if self.likely(0.7):
            x = ops.mvn(x, axes, True, 1e-5, "inside_sqrt")
        else:
            centred = ops.subtract(x, ops.reduce_mean(x, axes, True))
            variance = ops.reduce_mean(ops.multiply(centred, centred), axes, True)
            x = ops.divide(centred, ops.sqrt(ops.add(variance, ops.constant(np.float32(1e-5)))))
        shape = [1] * rank
        shape[axis] = width
        if self.likely(0.8):
            x = ops.multiply(x, self.constant(*shape, scale=0.3, around=1.0))
        return ops.add(x, self.constant(*shape, scale=0.2)) if self.likely(0.8) else x

    def the_same(self, x):
        """The same value, written otherwise."""
        rank = len(x.get_output_partial_shape(0))
        if self.likely(0.6):
            return x
        order = self.random.permutation(rank)
        kinds = (
            lambda y: ops.squeeze(ops.unsqueeze(y, integers(rank)), integers(rank)),
            lambda y: ops.transpose(ops.transpose(y, integers(*order)), integers(*np.argsort(order))),
            lambda y: ops.reshape(y, integers(*[0] * (rank - 1), -1), True),
            lambda y: ops.add(ops.constant(np.float32(0.25)), ops.subtract(y, ops.constant(np.float32(0.25)))),
            lambda y: ops.multiply(ops.constant(np.float32(2)), ops.multiply(y, ops.constant(np.float32(0.5)))),
            self.in_two,
        )
        return self.choose(*kinds)(x)

    def in_two(self, x):
        """Cut along the channels of tokens, or of a map, and joined again."""
        shape = x.get_output_partial_shape(0)
        axis = 1 if len(shape) == 4 else len(shape) - 1
        if not shape[axis].is_static or shape[axis].get_length() % 2:
            return x
        if self.likely(0.5):
            parts = ops.split(x, ops.constant(np.int64(axis)), 2)
            return ops.concat([parts.output(0), parts.output(1)], axis)
        half = shape[axis].get_length() // 2
        ends = (integers(0), integers(half)), (integers(half), integers(2**31 - 1))
        return ops.concat([opset8.slice(x, a, b, integers(1), integers(axis)) for a, b in ends], axis)


def named(model, random):
    """Gives some layers of a model names that are not unique, or hold what XML escapes."""
    layers = [node for node in model.get_ordered_ops() if node.get_type_name() not in ("Constant", "Result")]
    for place, node in enumerate(layers):
        if node.get_type_name() != "Parameter":
            node.set_friendly_name(f"layer{place}")
    for node in layers:
        if node.get_type_name() != "Parameter" and random.random() < 0.02:
            other = layers[random.integers(len(layers))]
            node.set_friendly_name(other.get_friendly_name() if random.random() < 0.5 else 'a "b" & <c>')
    return model


def second_readers(model, random):
    """More outputs of a model, of values in its middle."""
    inner = [
        node
        for node in model.get_ordered_ops()
        if node.get_type_name() not in ("Constant", "Result", "Parameter", "ShapeOf", "Convert", "Split")
    ]
    for _ in range(int(random.integers(3)) if random.random() < 0.2 else 0):
        node = inner[random.integers(len(inner))]
        if node.get_output_element_type(0) == ov.Type.f32:
            model.add_results([ops.result(node.output(0))])
    return model
