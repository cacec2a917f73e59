"""The weights of the fixture mobilenet_v2, for networks of the same architecture in other frameworks."""

import numpy as np
import openvino as ov

from ..common.paths import fixture


def layers():
    """Weight and bias of each convolution and of the last product, in order; norms are folded into them."""
    model = ov.Core().read_model(fixture("mobilenet_v2"))
    found = []
    for operation in model.get_ordered_ops():
        kind = operation.get_type_name()
        if kind not in ("Convolution", "GroupConvolution", "MatMul"):
            continue
        weight = constant(operation.input_value(1))
        if kind == "GroupConvolution":
            weight = weight.reshape(-1, *weight.shape[2:])
        readers = [target.get_node() for target in operation.output(0).get_target_inputs()]
        [bias] = [reader for reader in readers if reader.get_type_name() == "Add"]
        found.append((weight, constant(bias.input_value(1)).reshape(-1)))
    return found


def constant(output):
    """The values of a constant, through what converts and reshapes it."""
    node = output.get_node()
    while node.get_type_name() in ("Convert", "Reshape"):
        node = node.input_value(0).get_node()
    return node.get_data().astype(np.float32)


def filled(network):
    """A MobileNetV2 in PyTorch with these weights; its norms become biases."""
    import torch

    def each(kind):
        return [module for module in network.modules() if isinstance(module, kind)]

    *convolutions, (last, bias) = layers()
    [linear] = each(torch.nn.Linear)
    with torch.no_grad():
        places = zip(each(torch.nn.Conv2d), each(torch.nn.BatchNorm2d), convolutions, strict=True)
        for convolution, norm, (weight, shift) in places:
            convolution.weight.copy_(torch.tensor(weight))
            norm.weight.fill_(1)
            norm.running_mean.fill_(0)
            norm.running_var.fill_(1 - norm.eps)
            norm.bias.copy_(torch.tensor(shift))
        linear.weight.copy_(torch.tensor(last))
        linear.bias.copy_(torch.tensor(bias))
    return network.eval()
