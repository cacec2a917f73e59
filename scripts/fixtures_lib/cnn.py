"""Small convolutional classifiers: one feature map, one mean, one Linear, in many wrappings."""

import tempfile
from pathlib import Path

import openvino as ov
import torch
from openvino import Layout, Type
from openvino.preprocess import PrePostProcessor
from torch import nn

from .convert import convert_torch, export_torch, name_ports, save
from .registry import fixture
from .torch_tools import prepare, smooth_images

SIZE = (32, 48)
CLASSES = 5
CHANNELS = 24
GRID = (4, 6)


def conv_block(inputs, outputs, stride=2, kernel=3):
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def trunk():
    """Three blocks: an image of 32x48 gives a map of 24 channels on a grid of 4x6."""
    return nn.Sequential(conv_block(3, 8), conv_block(8, 16), conv_block(16, CHANNELS))


class Pooled(nn.Module):
    """The plainest classifier: trunk, mean over positions, Linear, and perhaps an activation."""

    def __init__(self, classes=CLASSES, activation=None):
        super().__init__()
        self.trunk = trunk()
        self.classifier = nn.Linear(CHANNELS, classes)
        self.activation = activation or nn.Identity()

    def forward(self, image):
        features = self.trunk(image).mean((2, 3))
        return self.activation(self.classifier(features))


def prepared_pooled(batch=1):
    """The plain classifier and images for it, for conversions other than `export_torch`."""
    model = Pooled()
    prepare(model, smooth_images((4, 3, *SIZE), seed=1))
    return model, smooth_images((batch, 3, *SIZE), seed=2)


@fixture("PyTorch")
def cnn_static(path):
    """The plainest classifier: convolutions, mean, Linear; everything static."""
    export_torch(path, Pooled(), [1, 3, *SIZE])


@fixture("PyTorch")
def cnn_batch4(path):
    """A static batch of four: maps of one image must not mix with those of the next."""
    export_torch(path, Pooled(), [4, 3, *SIZE])


@fixture("PyTorch")
def cnn_dynamic_batch(path):
    """A dynamic batch."""
    export_torch(path, Pooled(), [-1, 3, *SIZE])


@fixture("PyTorch")
def cnn_dynamic_hw(path):
    """Dynamic batch, height and width: the grid is known only when the model runs."""
    export_torch(path, Pooled(), [-1, 3, -1, -1])


@fixture("PyTorch")
def cnn_fp32(path):
    """Weights stored as FP32, so no decompression Convert stands between Const and consumer."""
    export_torch(path, Pooled(), [1, 3, *SIZE], compress_to_fp16=False)


@fixture("PyTorch")
def cnn_softmax(path):
    """Softmax at the end: the logits are one step before the output."""
    export_torch(path, Pooled(activation=nn.Softmax(dim=1)), [1, 3, *SIZE])


@fixture("PyTorch")
def cnn_sigmoid(path):
    """Sigmoid at the end: a multi-label classifier."""
    export_torch(path, Pooled(activation=nn.Sigmoid()), [1, 3, *SIZE])


@fixture("PyTorch")
def cnn_one_class(path):
    """One class, one sigmoid score."""
    export_torch(path, Pooled(classes=1, activation=nn.Sigmoid()), [1, 3, *SIZE])


class TwoInputs(nn.Module):
    """A vector of measurements joins the pooled features."""

    def __init__(self, measurements):
        super().__init__()
        self.trunk = trunk()
        self.classifier = nn.Linear(CHANNELS + measurements, CLASSES)

    def forward(self, image, vector):
        features = self.trunk(image).mean((2, 3))
        return self.classifier(torch.cat([features, vector], dim=1))


@fixture("PyTorch")
def cnn_two_inputs(path):
    """A second input, a vector, joins after the pooling: it must not be masked."""
    model, vector = TwoInputs(6), torch.randn(4, 6)
    images = smooth_images((4, 3, *SIZE), seed=1)
    prepare(model, images, extra_inputs=[vector])
    converted = convert_torch(model, [images[:1], vector[:1]])
    save(name_ports(converted, inputs=("image", "vector")), path)


class TwoOutputs(nn.Module):
    """Logits and, from the same pooled features, an embedding of unit length."""

    def __init__(self):
        super().__init__()
        self.trunk = trunk()
        self.classifier = nn.Linear(CHANNELS, CLASSES)
        self.projection = nn.Linear(CHANNELS, 12)

    def forward(self, image):
        features = self.trunk(image).mean((2, 3))
        embedding = nn.functional.normalize(self.projection(features), dim=1)
        return embedding, self.classifier(features)


@fixture("PyTorch")
def cnn_two_outputs(path):
    """Two outputs, `embedding` first and `logits` second: the output has to be chosen."""
    export_torch(path, TwoOutputs(), [1, 3, *SIZE], outputs=("embedding", "logits"))


class ConvClassifier(nn.Module):
    """The classifier is a 1x1 convolution, before or after the pooling."""

    def __init__(self, pool_first):
        super().__init__()
        pool, classifier = nn.AdaptiveAvgPool2d(1), nn.Conv2d(CHANNELS, CLASSES, 1)
        tail = (pool, classifier) if pool_first else (classifier, pool)
        self.layers = nn.Sequential(trunk(), *tail, nn.Flatten())

    def forward(self, image):
        return self.layers(image)


@fixture("PyTorch")
def cnn_conv_classifier(path):
    """Pooling, then a 1x1 convolution as classifier, then the flattening."""
    export_torch(path, ConvClassifier(pool_first=True), [1, 3, *SIZE])


@fixture("PyTorch")
def cnn_conv_classifier_before_pool(path):
    """A 1x1 convolution scores every position and the scores are pooled (SqueezeNet's order)."""
    export_torch(path, ConvClassifier(pool_first=False), [1, 3, *SIZE])


@fixture("PyTorch, ONNX")
def cnn_onnx(path):
    """The plain classifier by way of ONNX: the names of another front end."""
    model, image = prepared_pooled()
    with tempfile.TemporaryDirectory() as folder:
        onnx_path = Path(folder) / "cnn.onnx"
        torch.onnx.export(
            model,
            (image,),
            onnx_path,
            input_names=["image"],
            output_names=["logits"],
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        converted = ov.convert_model(onnx_path)
    save(converted, path)


@fixture("PyTorch")
def cnn_preprocess(path):
    """Preprocessing inside the graph: u8 NHWC input, Convert, Transpose, mean and scale."""
    model, image = prepared_pooled()
    steps = PrePostProcessor(name_ports(convert_torch(model, [image])))
    steps.input().tensor().set_element_type(Type.u8).set_layout(Layout("NHWC"))
    steps.input().model().set_layout(Layout("NCHW"))
    steps.input().preprocess().convert_element_type(Type.f32)
    steps.input().preprocess().mean([123.675, 116.28, 103.53]).scale([58.395, 57.12, 57.375])
    save(steps.build(), path)
