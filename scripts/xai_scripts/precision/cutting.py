"""A branch (layers `xai/...`) taken out of its model, and with the least that half precision does to it."""

import numpy as np
import openvino as ov
import openvino.opset8 as op


PRODUCTS = ("MatMul", "Convolution", "GroupConvolution")
# What has no arithmetic, and so no rounding.
MOVES = ("Constant", "Convert", "Parameter", "Result", "ShapeOf")
# Times this and back, single precision keeps the eight digits of bf16 (Dekker, A floating-point technique for extending
# the available precision, 1971).
SPLIT = np.float32(2**16 + 1)


def own(node):
    """Whether a layer belongs to the branch."""
    return node.get_friendly_name().startswith("xai/")


def is_constant(node):
    """Whether a value is a weight, perhaps converted."""
    return (node.input_value(0).get_node() if node.get_type_name() == "Convert" else node).get_type_name() == "Constant"


def saliency(model):
    """What feeds the map's output."""
    return next(port for port in model.outputs if "saliency_map" in port.get_names()).get_node().input_value(0)


def read_by_branch(model):
    """Values of the original that the branch reads, by layer and output."""
    found = []
    for node in filter(own, model.get_ordered_ops()):
        for value in node.input_values():
            source = value.get_node()
            key = (source.get_friendly_name(), value.get_index())
            if not own(source) and not is_constant(source) and key not in found:
                found.append(key)
    return found


def tapped_model(model, read):
    """A model's first output, and the values that a branch reads."""
    nodes = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
    scores = model.outputs[0].get_node().input_value(0)
    return ov.Model([scores, *(nodes[name].output(index) for name, index in read)], model.get_parameters())


def cut_model(model, read):
    """The branch of a model, which is taken apart for it, as one of its own."""
    nodes = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
    parameters = []
    for name, index in read:
        value = nodes[name].output(index)
        parameters.append(op.parameter(value.get_partial_shape(), value.get_element_type()))
        for reader in list(value.get_target_inputs()):
            if own(reader.get_node()):
                reader.replace_source_output(parameters[-1].output(0))
    return ov.Model([saliency(model)], parameters)


def rounded(value):
    """A value in the digits of bf16, in operations that no compiler takes for nothing."""
    scaled = op.multiply(value, op.constant(SPLIT))
    return op.subtract(scaled, op.subtract(scaled, value)).output(0)


def in_half_products(model):
    """Rounds both operands of each product, which is what a product in bf16 does whatever else is kept."""
    for node in model.get_ordered_ops():
        if node.get_type_name() in PRODUCTS:
            for operand in node.inputs():
                operand.replace_source_output(rounded(operand.get_source_output()))
    model.validate_nodes_and_infer_types()
    return model


def in_half(model):
    """Rounds what each operation makes as well, as a device does that keeps values in bf16."""
    for node in model.get_ordered_ops():
        for result in node.outputs():
            if result.get_element_type() == ov.Type.f32 and node.get_type_name() not in MOVES:
                readers = list(result.get_target_inputs())
                value = rounded(result)
                for reader in readers:
                    reader.replace_source_output(value)
    return in_half_products(model)
