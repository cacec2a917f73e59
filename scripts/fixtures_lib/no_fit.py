"""Models that have no map to explain them by: an insertion has to refuse, and to say why."""

import torch
from torch import nn

from .cnn import CHANNELS, CLASSES, SIZE, trunk
from .convert import convert_torch, export_torch, name_ports, save
from .registry import fixture
from .torch_tools import prepare


class Perceptron(nn.Module):
    """Linear, ReLU, Linear on a vector."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, CLASSES))

    def forward(self, vector):
        return self.layers(vector)


@fixture("PyTorch")
def mlp_only(path):
    """No spatial value anywhere."""
    model, vector = Perceptron(), torch.randn(1, 12)
    prepare(model, vector)
    save(name_ports(convert_torch(model, [vector]), inputs=("vector",)), path)


class Segmentation(nn.Module):
    """Class scores for every pixel of a quarter of the image."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            trunk(), nn.Conv2d(CHANNELS, CLASSES, 1), nn.Upsample(scale_factor=2, mode="bilinear")
        )

    def forward(self, image):
        return self.layers(image)


@fixture("PyTorch")
def segmentation(path):
    """The output is a map itself, [1,classes,h,w]: not a classifier."""
    export_torch(path, Segmentation(), [1, 3, *SIZE], outputs=("scores",))
