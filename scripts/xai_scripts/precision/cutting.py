"""A branch (layers `xai/...`) taken out of its model."""

import openvino as ov
import openvino.opset8 as op


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
