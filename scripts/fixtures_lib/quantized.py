"""Classifiers in INT8, by NNCF's post-training quantization: FakeQuantize on weights and activations."""

import nncf
from torch import nn

from .class_token import SIZE as TOKEN_SIZE
from .class_token import Classifier, by_slice
from .cnn import CLASSES, SIZE, conv_block, prepared_pooled
from .convert import convert_torch, name_ports, renumber, save
from .registry import fixture
from .torch_tools import prepare, smooth_images


class Residual(nn.Module):
    """Two convolutions and a shortcut, added before the last activation (ResNet's basic block)."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = conv_block(inputs, outputs, stride)
        self.second = nn.Sequential(
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
        )

    def forward(self, x):
        return nn.functional.relu(self.second(self.first(x)) + self.shortcut(x))


def basic_resnet():
    """A stem, two basic blocks, mean over positions, Linear."""
    blocks = [conv_block(3, 8), Residual(8, 16, 2), Residual(16, 24, 2)]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, CLASSES))


def quantize(model, size, **options):
    """Convert and quantize, calibrated on smooth images."""
    prepare(model, smooth_images((4, 3, *size), seed=1))
    return quantize_converted(convert_torch(model, [smooth_images((1, 3, *size), seed=2)]), size, **options)


def quantize_converted(converted, size, **options):
    images = [smooth_images((1, 3, *size), seed).numpy() for seed in range(8)]
    name_ports(converted)
    quantized = nncf.quantize(converted, nncf.Dataset(images), subset_size=len(images), **options)
    renumber(quantized)
    return quantized


@fixture("PyTorch, NNCF")
def cnn_int8(path):
    """INT8: the plain classifier."""
    model, image = prepared_pooled()
    save(quantize_converted(convert_torch(model, [image]), SIZE), path)


@fixture("PyTorch, NNCF")
def resnet_int8(path):
    """INT8: residual blocks, where both summands are quantized and the sum that is the target is not."""
    save(quantize(basic_resnet(), SIZE), path)


@fixture("PyTorch, NNCF")
def token_int8(path):
    """INT8: a class token and NNCF's preset for transformers, which leaves norms and Softmax in float."""
    model = Classifier(read=by_slice)
    save(quantize(model, TOKEN_SIZE, model_type=nncf.ModelType.TRANSFORMER), path)
