"""timm's own test models: complete architectures of a real library, small enough to commit.

Their weights are random: the trained ones are not needed to show how the graphs look.
"""

import timm

from .convert import export_torch
from .registry import TIMM, fixture

SIZE = (96, 128)
CLASSES = 10
SHAPE = [1, 3, *SIZE]


@fixture("PyTorch, timm", TIMM)
def timm_test_resnet(path):
    """timm's `test_resnet` at 96x128: a whole ResNet."""
    export_torch(path, timm.create_model("test_resnet", num_classes=CLASSES), SHAPE)


@fixture("PyTorch, timm", TIMM)
def timm_test_efficientnet(path):
    """timm's `test_efficientnet` at 96x128: depthwise convolutions, squeeze and excitation."""
    export_torch(path, timm.create_model("test_efficientnet", num_classes=CLASSES), SHAPE)


@fixture("PyTorch, timm", TIMM)
def timm_test_convnext(path):
    """timm's `test_convnext` at 96x128: LayerNorm after the pooling."""
    export_torch(path, timm.create_model("test_convnext", num_classes=CLASSES), SHAPE)


@fixture("PyTorch, timm", TIMM)
def timm_test_vit(path):
    """timm's `test_vit` at 96x128: a class token, which the one-hot method has to refuse."""
    model = timm.create_model("test_vit", num_classes=CLASSES, img_size=SIZE)
    export_torch(path, model, SHAPE)
