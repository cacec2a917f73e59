"""Writes small models in which other things lie beside class scores: `scores.py FOLDER`.

Detectors of two scales with random weights, written as YOLO's exports are; and models of images and texts.
"""

import sys
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

CLASSES, WIDTH = 5, 8
MODELS = {}


def model(function):
    MODELS[function.__name__] = function
    return function


def integers(*values):
    return ops.constant(np.array(values, dtype=np.int64))


class Builder:
    """Layers with weights from one seed, and two maps that detectors read."""

    def __init__(self):
        self.random = np.random.RandomState(0)
        self.image = ops.parameter([1, 3, 64, 96], np.float32, name="image")
        fine = ops.relu(self.convolution(ops.relu(self.convolution(self.image, 3, WIDTH, 3, 2)), WIDTH, WIDTH, 3, 2))
        self.maps = [fine, ops.relu(self.convolution(fine, WIDTH, WIDTH, 3, 2))]

    def constant(self, *shape, scale=None):
        values = self.random.randn(*shape) * (scale or 1 / np.sqrt(np.prod(shape[1:])))
        return ops.constant(values.astype(np.float32))

    def convolution(self, x, inputs, outputs, kernel=1, stride=1):
        pad = [kernel // 2] * 2
        y = ops.convolution(x, self.constant(outputs, inputs, kernel, kernel), [stride] * 2, pad, pad, [1, 1])
        return ops.add(y, self.constant(1, outputs, 1, 1, scale=0.3))

    def head(self, channels):
        """Of both scales, `[1, channels, boxes]`."""
        return self.joined([self.convolution(x, WIDTH, channels) for x in self.maps])

    def joined(self, maps):
        flat = [ops.reshape(x, integers(0, x.get_output_shape(0)[1], -1), True) for x in maps]
        return ops.concat(flat, 2)

    def boxes(self):
        """Corners around points of the grid."""
        sizes = ops.exp(self.head(4))
        count = sizes.get_output_shape(0)[2]
        points = ops.constant((100 * self.random.rand(1, 2, count)).astype(np.float32))
        first, second = ops.split(sizes, ops.constant(np.int64(1)), 2).outputs()
        return ops.concat([ops.subtract(points, first), ops.add(points, second)], 1)

    def of_texts(self):
        """Products of normalised features with embeddings of texts."""
        texts = self.constant(1, CLASSES, 16, scale=0.5)
        maps = []
        for x in self.maps:
            features = self.convolution(x, WIDTH, 16)
            norm = ops.sqrt(ops.reduce_sum(ops.multiply(features, features), integers(1), True))
            maps.append(ops.einsum([ops.divide(features, norm), texts], "bchw,bkc->bkhw"))
        return ops.sigmoid(self.joined(maps))

    def suppressed(self, scores, best):
        """What is left of the boxes whose best score is above a threshold."""
        boxes = ops.squeeze(ops.transpose(self.boxes(), integers(0, 2, 1)), integers(0))
        best = ops.squeeze(best, integers(0))
        place = ops.transpose(ops.non_zero(ops.greater(best, ops.constant(np.float32(0.3))), "i64"), integers(1, 0))
        boxes, best = ops.gather_nd(boxes, place), ops.gather_nd(best, place)
        label = ops.gather_nd(ops.squeeze(ops.topk(scores, number(1), 1, "max", "value").output(1), integers(0, 1)), place)
        most, overlap, least = ops.constant(np.int64(50)), ops.constant(np.float32(0.7)), ops.constant(np.float32(0))
        lists = ops.unsqueeze(boxes, integers(0)), ops.unsqueeze(best, integers(0, 1))
        chosen = ops.non_max_suppression(*lists, most, overlap, least)
        chosen = ops.squeeze(ops.gather(chosen.output(0), integers(2), ops.constant(np.int64(1))), integers(1))
        parts = boxes, ops.unsqueeze(best, integers(1)), ops.convert(ops.unsqueeze(label, integers(1)), np.float32)
        parts = [ops.gather(part, chosen, ops.constant(np.int64(0))) for part in parts]
        return ops.unsqueeze(ops.concat(parts, 1), integers(0))


def number(value):
    return ops.constant(np.int64(value))


@model
def pose_of_one_class():
    """Three key points behind one class, each with its visibility."""
    build = Builder()
    points = ops.reshape(build.head(9), integers(0, 3, 3, -1), True)
    parts = ops.variadic_split(points, ops.constant(np.int64(2)), integers(2, 1)).outputs()
    places = ops.multiply(parts[0], ops.exp(parts[0]))
    points = ops.concat([places, ops.sigmoid(parts[1])], 2)
    points = ops.reshape(points, integers(0, 9, -1), True)
    return [build.image], [ops.concat([build.boxes(), ops.sigmoid(build.head(1)), points], 1)]


@model
def masks_of_texts():
    """Mask coefficients behind classes that are products with embeddings of texts."""
    build = Builder()
    return [build.image], [ops.concat([build.boxes(), build.of_texts(), build.head(6)], 1)]


@model
def masks_behind_unknown():
    """Mask coefficients behind classes that cannot be followed back to a map: their positions are mixed."""
    build = Builder()
    scores = ops.matmul(build.head(CLASSES), build.constant(480, 480, scale=0.05), False, False)
    return [build.image], [ops.concat([build.boxes(), ops.sigmoid(scores), build.head(6)], 1)]


@model
def prototypes_beside_suppression():
    """Boxes chosen by the best score of all classes, and prototypes of masks beside them."""
    build = Builder()
    scores = ops.sigmoid(build.head(CLASSES))
    found = build.suppressed(scores, ops.reduce_max(scores, integers(1), False))
    return [build.image], [found, ops.swish(build.convolution(build.maps[0], WIDTH, 6))]


@model
def prototypes_beside_unknown_suppression():
    """The same, where what boxes are chosen by cannot be followed back."""
    build = Builder()
    scores = ops.sigmoid(build.head(CLASSES))
    best = ops.reduce_mean(ops.exp(scores), integers(1), False)
    found = build.suppressed(scores, best)
    return [build.image], [found, ops.swish(build.convolution(build.maps[0], WIDTH, 6))]


def compared(first):
    """Features of images and of texts, and their products: `first` says whose rows are computed."""
    build = Builder()
    image = ops.reduce_mean(build.convolution(build.maps[1], WIDTH, 16), integers(2, 3), False)
    ids = ops.parameter([3, 7], np.int64, name="ids")
    words = ops.gather(build.constant(5, 16, scale=1.0), ids, ops.constant(np.int64(0)))
    text = ops.reduce_mean(words, integers(1), False)
    pair = (image, text) if first == "image" else (text, image)
    scores = ops.multiply(ops.constant(np.float32(4)), ops.matmul(*pair, False, True))
    other = ops.transpose(scores, integers(1, 0))
    of_image, of_text = (scores, other) if first == "image" else (other, scores)
    of_text.output(0).set_names({"logits_per_text"})
    of_image.output(0).set_names({"logits_per_image"})
    return [build.image, ids], [of_text, of_image]


@model
def images_and_texts():
    return compared("image")


@model
def texts_and_images():
    return compared("text")


def main():
    folder = Path(sys.argv[1])
    for name, build in MODELS.items():
        inputs, outputs = build()
        found = ov.Model([ops.result(output) for output in outputs], inputs, name)
        ov.save_model(found, folder / f"{name}.xml", compress_to_fp16=False)


if __name__ == "__main__":
    main()
