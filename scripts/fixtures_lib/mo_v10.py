"""An IR of version 10 as the Model Optimizer of 2020 wrote it, emitted by hand.

No current tool writes this form, but files of it are still in use. It differs from version 11 in
what a reader might take for granted: layer ids have gaps, the output port of a Const is number 1,
lists in attributes have no spaces, booleans are capitalised, output names are absent, and notes
stand in `<meta_data>` instead of `<rt_info>`.
"""

from xml.sax.saxutils import quoteattr

import numpy as np

from .registry import fixture

CLASSES = 7


class Writer:
    """Collects layers, edges and constants. A value is (layer id, port, shape)."""

    def __init__(self):
        self.rng = np.random.default_rng(0)
        self.layers = []
        self.edges = []
        self.weights = bytearray()
        self.next_id = 0

    def layer(self, kind, name, inputs, shape, data=None, port=None, precision="FP32"):
        """Append a layer and return its output; `shape` is None for a Result."""
        identifier = self.next_id
        self.next_id += 3
        lines = [f'<layer id="{identifier}" name={quoteattr(name)} type="{kind}" version="opset1">']
        if data:
            lines.append("\t<data " + " ".join(f'{k}="{v}"' for k, v in data.items()) + "/>")
        for number, (source, source_port, _) in enumerate(inputs):
            self.edges.append((source, source_port, identifier, number))
        lines += section("input", [(n, value[2], None) for n, value in enumerate(inputs)])
        port = len(inputs) if port is None else port
        if shape is not None:
            lines += section("output", [(port, shape, precision)])
        lines.append("</layer>")
        self.layers += lines
        return identifier, port, shape

    def bytes_of(self, name, values, element_type, precision):
        """A Const. Its output is port 1, though it has no input."""
        offset, raw = len(self.weights), values.tobytes()
        self.weights += raw
        shape = list(values.shape)
        data = {
            "element_type": element_type,
            "offset": offset,
            "shape": ",".join(map(str, shape)),
            "size": len(raw),
        }
        return self.layer("Const", name, [], shape, data, port=1, precision=precision)

    def weight(self, name, *shape):
        """Random FP16 weights and the Convert that unpacks them."""
        fan_in = max(1, np.prod(shape[1:]))
        values = (self.rng.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float16)
        packed = self.bytes_of(f"{name}/compressed", values, "f16", "FP16")
        return self.layer("Convert", name, [packed], list(shape), {"destination_type": "f32"})

    def integers(self, name, values):
        return self.bytes_of(name, np.array(values, np.int64), "i64", "I64")

    def conv_block(self, name, value, channels, stride):
        """3x3 convolution, bias and ReLU."""
        batch, inputs, height, width = value[2]
        shape = [batch, channels, height // stride, width // stride]
        data = {
            "auto_pad": "explicit",
            "dilations": "1,1",
            "output_padding": "0,0",
            "pads_begin": "1,1",
            "pads_end": "1,1",
            "strides": f"{stride},{stride}",
        }
        kernel = self.weight(f"{name}/weights", channels, inputs, 3, 3)
        bias = self.weight(f"{name}/bias", 1, channels, 1, 1)
        convolved = self.layer("Convolution", f"{name}/WithoutBiases", [value, kernel], shape, data)
        biased = self.layer("Add", name, [convolved, bias], shape)
        return self.layer("ReLU", f"{name}/relu", [biased], shape)

    def xml(self, name):
        """The whole document."""
        lines = ['<?xml version="1.0" ?>', f'<net name="{name}" version="10">', "\t<layers>"]
        lines += ["\t\t" + line for line in self.layers]
        lines += ["\t</layers>", "\t<edges>"]
        lines += [
            f'\t\t<edge from-layer="{a}" from-port="{b}" to-layer="{c}" to-port="{d}"/>'
            for a, b, c, d in self.edges
        ]
        lines += ["\t</edges>", *META_DATA, "</net>"]
        return "\n".join(lines) + "\n"


def section(tag, ports):
    """The `<input>` or `<output>` lines of a layer, none without ports."""
    if not ports:
        return []
    lines = [f"\t<{tag}>"]
    for number, shape, precision in ports:
        kind = f' precision="{precision}"' if precision else ""
        if not shape:
            lines.append(f'\t\t<port id="{number}"{kind}/>')
            continue
        lines.append(f'\t\t<port id="{number}"{kind}>')
        lines += [f"\t\t\t<dim>{size}</dim>" for size in shape]
        lines.append("\t\t</port>")
    return [*lines, f"\t</{tag}>"]


META_DATA = [
    "\t<meta_data>",
    '\t\t<MO_version value="2020.4"/>',
    "\t\t<cli_parameters>",
    '\t\t\t<data_type value="FP16"/>',
    '\t\t\t<framework value="onnx"/>',
    '\t\t\t<input_shape value="[1,3,32,48]"/>',
    '\t\t\t<reverse_input_channels value="False"/>',
    '\t\t\t<unset unset_cli_parameters="batch, input, mean_values, output, scale_values"/>',
    "\t\t</cli_parameters>",
    "\t</meta_data>",
]


@fixture("written by the script")
def v10_mo(path):
    """IR version 10 in the style of the old Model Optimizer, with AvgPool and `<meta_data>`."""
    net = Writer()
    data = {"element_type": "f32", "shape": "1,3,32,48"}
    value = net.layer("Parameter", "image", [], [1, 3, 32, 48], data)
    for number, channels in enumerate((8, 16, 24)):
        value = net.conv_block(f"conv{number + 1}", value, channels, stride=2)
    pool = {
        "auto_pad": "explicit",
        "exclude-pad": "true",
        "kernel": "4,6",
        "pads_begin": "0,0",
        "pads_end": "0,0",
        "rounding_type": "floor",
        "strides": "1,1",
    }
    pooled = net.layer("AvgPool", "pool", [value], [1, 24, 1, 1], pool)
    target = net.integers("flatten/shape", [0, -1])
    flat = net.layer("Reshape", "flatten", [pooled, target], [1, 24], {"special_zero": "True"})
    weight = net.weight("fc/weights", CLASSES, 24)
    transposed = {"transpose_a": "False", "transpose_b": "True"}
    product = net.layer("MatMul", "fc/WithoutBiases", [flat, weight], [1, CLASSES], transposed)
    bias = net.weight("fc/bias", 1, CLASSES)
    logits = net.layer("Add", "fc", [product, bias], [1, CLASSES])
    net.layer("Result", "fc/sink_port_0", [logits], None)
    path.write_text(net.xml(path.stem), encoding="utf-8")
    path.with_suffix(".bin").write_bytes(net.weights)
