"""Worker: converts a fetched model, or one of torchvision's with random weights.

Arguments: the model's name, the IR to write, and the source where it was fetched.
"""

import sys

import openvino

from .sources import TORCHVISION


def dense_part(model):
    """Backbone and head: what comes before boxes are decoded and suppressed. Outputs are in the order of names."""
    import torch

    class Dense(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone, self.head = model.backbone, model.head

        def forward(self, image):
            found = self.head(list(self.backbone(image).values()))
            return tuple(found[key] for key in sorted(found))

    return Dense()


def of_torchvision(name):
    """The dense part of an architecture, converted."""
    import torch
    import torchvision

    from ..torch_models.torch_tools import prepare, smooth_images

    torch.manual_seed(0)
    architecture, size = TORCHVISION[name]
    arguments = {"weights": None, "weights_backbone": None}
    model = getattr(torchvision.models.detection, architecture)(**arguments).eval()
    dense = dense_part(model)
    # As they begin, the scores of most of these are the same everywhere.
    images = smooth_images((2, 3, size, size), seed=1)
    prepare(dense, images)
    example = images[:1]
    converted = openvino.convert_model(dense, example_input=example, input=[1, 3, size, size])
    found = model.head(list(model.backbone(example).values()))
    for port, key in zip(converted.outputs, sorted(found), strict=True):
        port.get_tensor().set_names({key})
    return converted


def main(name, path, source=None):
    """Convert and write."""
    openvino.save_model(openvino.convert_model(source) if source else of_torchvision(name), path)


if __name__ == "__main__":
    main(*sys.argv[1:])
