"""Heads of convolutional families: what stands between the last feature map and the logits."""

import torch
from timm.layers import LayerNorm2d, SelectAdaptivePool2d
from torch import nn

from .cnn import CHANNELS, CLASSES, GRID, SIZE, trunk
from .convert import export_torch
from .registry import TIMM, fixture

SHAPE = [1, 3, *SIZE]


class Model(nn.Module):
    """The common trunk under a head given as a list of layers."""

    def __init__(self, *head):
        super().__init__()
        self.trunk = trunk()
        self.head = nn.Sequential(*head)

    def forward(self, image):
        return self.head(self.trunk(image))


class SpatialMean(nn.Module):
    """The mean over the two axes that start at `axis`, which are dropped."""

    def __init__(self, axis=2):
        super().__init__()
        self.axes = (axis, axis + 1)

    def forward(self, features):
        return features.mean(self.axes)


@fixture("PyTorch")
def vgg_flatten(path):
    """The map is flattened into a Linear: every position has weights of its own."""
    positions = GRID[0] * GRID[1]
    hidden = 32
    head = (nn.Flatten(), nn.Linear(CHANNELS * positions, hidden), nn.ReLU())
    export_torch(path, Model(*head, nn.Linear(hidden, CLASSES)), SHAPE)


@fixture("PyTorch")
def vgg_conv7(path):
    """A convolution whose kernel is the whole map, then 1x1, pooling, Linear (VGG as in timm)."""
    hidden = 32
    head = (
        nn.Conv2d(CHANNELS, hidden, GRID),
        nn.ReLU(),
        nn.Conv2d(hidden, hidden, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    export_torch(path, Model(*head, nn.Linear(hidden, CLASSES)), SHAPE)


@fixture("PyTorch")
def mobilenetv3_head(path):
    """Pooling first, then 1x1 convolution, hard swish and Linear on one position."""
    hidden = 32
    head = (nn.AdaptiveAvgPool2d(1), nn.Conv2d(CHANNELS, hidden, 1), nn.Hardswish(), nn.Flatten())
    export_torch(path, Model(*head, nn.Linear(hidden, CLASSES)), SHAPE)


@fixture("PyTorch, layers of timm", TIMM)
def convnext_head(path):
    """Pooling, then a LayerNorm over channels of the pooled map, then Linear."""
    head = (nn.AdaptiveAvgPool2d(1), LayerNorm2d(CHANNELS), nn.Flatten())
    export_torch(path, Model(*head, nn.Linear(CHANNELS, CLASSES)), SHAPE)


@fixture("PyTorch")
def late_conv_head(path):
    """A 1x1 convolution, batch norm and activation stand between the trunk and the pooling."""
    hidden = 40
    head = (
        nn.Conv2d(CHANNELS, hidden, 1, bias=False),
        nn.BatchNorm2d(hidden),
        nn.SiLU(),
        SpatialMean(),
    )
    export_torch(path, Model(*head, nn.Linear(hidden, CLASSES)), SHAPE)


@fixture("PyTorch, layers of timm", TIMM)
def max_avg_head(path):
    """Mean and maximum over positions, concatenated."""
    pool = SelectAdaptivePool2d(pool_type="catavgmax", flatten=True)
    export_torch(path, Model(pool, nn.Linear(2 * CHANNELS, CLASSES)), SHAPE)


class TwoClassifiers(nn.Module):
    """The average of two classifiers, each behind a batch norm of its own (LeViT)."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm1d(CHANNELS), nn.Linear(CHANNELS, CLASSES))
        self.second = nn.Sequential(nn.BatchNorm1d(CHANNELS), nn.Linear(CHANNELS, CLASSES))

    def forward(self, features):
        return (self.first(features) + self.second(features)) / 2


@fixture("PyTorch")
def two_classifiers(path):
    """The average of two batch norm and Linear pairs on the same pooled features (LeViT)."""
    export_torch(path, Model(SpatialMean(), TwoClassifiers()), SHAPE)


@fixture("PyTorch")
def bn_head(path):
    """Batch norms before and after a Linear, on the pooled vector."""
    head = (
        SpatialMean(),
        nn.BatchNorm1d(CHANNELS),
        nn.Linear(CHANNELS, 32),
        nn.BatchNorm1d(32),
        nn.ReLU(),
    )
    export_torch(path, Model(*head, nn.Linear(32, CLASSES)), SHAPE)


@fixture("PyTorch")
def mlp_head(path):
    """Pooling, then Linear, GELU, LayerNorm, Linear."""
    head = (SpatialMean(), nn.Linear(CHANNELS, 32), nn.GELU(), nn.LayerNorm(32))
    export_torch(path, Model(*head, nn.Linear(32, CLASSES)), SHAPE)


class ChannelsLast(nn.Module):
    """A residual block on an NHWC map, as the last block and norm of Swin."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(CHANNELS)
        self.mlp = nn.Linear(CHANNELS, CHANNELS)

    def forward(self, features):
        features = features.permute(0, 2, 3, 1)
        return features + nn.functional.gelu(self.mlp(self.norm(features)))


@fixture("PyTorch")
def nhwc_head(path):
    """The last map is channels-last, [1,h,w,C], and the mean is over axes 1 and 2."""
    head = (ChannelsLast(), SpatialMean(axis=1))
    export_torch(path, Model(*head, nn.Linear(CHANNELS, CLASSES)), SHAPE)


@fixture("PyTorch")
def nhwc_head_dynamic(path):
    """The channels-last map with a dynamic batch."""
    head = (ChannelsLast(), SpatialMean(axis=1))
    export_torch(path, Model(*head, nn.Linear(CHANNELS, CLASSES)), [-1, 3, *SIZE])


class TwoBranches(nn.Module):
    """The map is pooled directly, and once more after a depthwise 3x3 convolution."""

    def __init__(self):
        super().__init__()
        self.depthwise = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS)
        self.classifier = nn.Linear(CHANNELS, CLASSES)

    def forward(self, features):
        local = torch.relu(self.depthwise(features)).mean((2, 3))
        return self.classifier(features.mean((2, 3)) + local)


@fixture("PyTorch")
def conv_after_branch(path):
    """Two branches from the map: one pools it, the other mixes neighbours first (3x3)."""
    export_torch(path, Model(TwoBranches()), SHAPE)


class GeneralisedMean(nn.Module):
    """mean(x^p)^(1/p), with a learned exponent."""

    def __init__(self):
        super().__init__()
        self.exponent = nn.Parameter(torch.full([1], 3.0))

    def forward(self, features):
        powers = features.clamp(min=1e-3) ** self.exponent
        return powers.mean((2, 3)) ** (1.0 / self.exponent)


@fixture("PyTorch")
def gem_pool(path):
    """Generalised mean pooling: clamp, power, mean, root."""
    export_torch(path, Model(GeneralisedMean(), nn.Linear(CHANNELS, CLASSES)), SHAPE)
