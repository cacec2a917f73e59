"""Writes small classifiers and detectors whose answers have to be read as they are meant: `answers.py FOLDER`."""

import json
import sys
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from openvino.op.util import Variable, VariableInfo

HEIGHT, WIDTH = 32, 48
MODELS = {}
TREE = {
    "cls_heads_info": {
        "num_multiclass_heads": 2,
        "num_multilabel_classes": 1,
        "num_single_label_classes": 4,
        "head_idx_to_logits_range": {"0": [0, 2], "1": [2, 4]},
        "class_to_group_idx": {"cat": [0, 0], "dog": [0, 1], "black": [1, 0], "white": [1, 1], "indoors": [2, 0]},
        "all_groups": [["cat", "dog"], ["black", "white"], ["indoors"]],
        "label_to_idx": {"cat": 0, "dog": 1, "black": 2, "white": 3, "indoors": 4},
        "empty_multiclass_head_indices": [],
    },
    "label_tree_edges": [["black", "cat"], ["white", "cat"]],
}


def model(function):
    MODELS[function.__name__] = function
    return function


def integers(*values):
    return ops.constant(np.array(values, np.int64))


def floats(*values):
    return ops.constant(np.array(values, np.float32))


def features():
    """An image, how bright its parts are as a strided convolution sees them, and the generator of weights."""
    image = ops.parameter([1, 3, HEIGHT, WIDTH], np.float32, name="image")
    random = np.random.RandomState(0)
    weights = ops.constant((random.randn(8, 3, 8, 8) / 14).astype(np.float32))
    x = ops.relu(ops.convolution(image, weights, [8, 8], [0, 0], [0, 0], [1, 1]))
    return image, x, random


def network(biases):
    """An image, and a score for each of the biases: how bright parts are, and a bias."""
    image, x, random = features()
    mean = ops.reduce_mean(x, integers(2, 3), False)
    head = ops.constant((random.randn(len(biases), 8) / 4).astype(np.float32))
    return image, ops.add(ops.matmul(mean, head, False, True), ops.constant(np.array([biases], np.float32)))


def named(**outputs):
    for name, output in outputs.items():
        output.set_names({name})
    return list(outputs.values())


@model
def logit():
    image, score = network([-1])
    return [image], named(logit=score.output(0)), {}


@model
def probability():
    image, score = network([-1])
    return [image], named(probability=ops.sigmoid(score).output(0)), {}


@model
def squeezed():
    image, score = network([-1])
    return [image], named(score=ops.squeeze(score, integers(1)).output(0)), {}


@model
def yes_or_no():
    image, score = network([-1])
    return [image], named(score=score.output(0)), {"labels": "no yes"}


@model
def multilabel():
    image, scores = network([2, -4, 3, -5])
    info = {"multilabel": True, "confidence_threshold": 0.3, "labels": "cat dog car bus"}
    return [image], named(scores=scores.output(0)), info


@model
def hierarchical():
    image, scores = network([4, 0, 0, 4, -9])
    info = {"hierarchical": True, "hierarchical_config": json.dumps(TREE), "labels": "indoors cat dog black white"}
    return [image], named(scores=scores.output(0)), info


def best(count, activated):
    image, scores = network([0, 4, 1, 2, 3])
    scores = ops.softmax(scores, 1) if activated else scores
    found = ops.topk(scores, ops.constant(np.int64(count)), 1, "max", "value")
    return [image], named(scores=found.output(0), classes=found.output(1)), {}


@model
def best_three():
    return best(3, activated=True)


@model
def best_five():
    """As many as there are, which look like boxes with a score."""
    return best(5, activated=False)


def detector(classes, biases=None):
    """An image, and class logits and boxes of each position: `[1, channels, boxes]`."""
    image = ops.parameter([1, 3, HEIGHT, WIDTH], np.float32, name="image")
    random = np.random.RandomState(0)

    def weights(*shape):
        return ops.constant((random.randn(*shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32))

    def convolution(x, channels, outputs, kernel):
        return ops.convolution(x, weights(outputs, channels, kernel, kernel), [kernel] * 2, [0, 0], [0, 0], [1, 1])

    fine = ops.relu(convolution(image, 3, 8, 8))
    coarse = ops.relu(convolution(fine, 8, 8, 2))

    def head(x, outputs, biases=None):
        y = convolution(x, 8, outputs, 1)
        y = y if biases is None else ops.add(y, ops.constant(np.array(biases, np.float32).reshape(1, -1, 1, 1)))
        return ops.reshape(y, integers(0, outputs, -1), True)

    scores = ops.concat([head(fine, classes, biases), head(coarse, classes, biases)], 2)
    sizes = ops.exp(ops.concat([head(fine, 2), head(coarse, 2)], 2))
    points = [
        ((column + 0.5) * WIDTH / columns, (row + 0.5) * HEIGHT / rows)
        for rows, columns in ((4, 6), (2, 3))
        for row in range(rows)
        for column in range(columns)
    ]
    centres = ops.constant(np.array([points], np.float32).transpose(0, 2, 1))
    return image, scores, ops.concat([centres, ops.multiply(sizes, floats(6))], 1)


@model
def ultralytics():
    """Centres, sides and probabilities in one output, with the metadata that its exporter writes."""
    image, scores, boxes = detector(3)
    joined = ops.concat([boxes, ops.sigmoid(scores)], 1)
    info = {
        "model_type": "YOLO",
        "reverse_input_channels": True,
        "scale_values": "255",
        "pad_value": 114,
        "resize_type": "fit_to_window_letterbox",
        "labels": "cat dog car",
    }
    return [image], named(output0=joined.output(0)), info


@model
def background_first():
    """Probabilities by a softmax, most of which the first class has."""
    image, scores, boxes = detector(5, [9, 0, 0, 1, 0])
    scores = ops.softmax(ops.transpose(scores, integers(0, 2, 1)), 2)
    info = {"labels": "cat dog car bus", "confidence_threshold": 0.00001}
    return [image], named(boxes=ops.transpose(boxes, integers(0, 2, 1)).output(0), scores=scores.output(0)), info


@model
def stateful():
    """Each inference adds the features of the one before to its own."""
    image, x, random = features()
    shape = [1, 8, HEIGHT // 8, WIDTH // 8]
    about = VariableInfo()
    about.data_shape, about.data_type, about.variable_id = ov.PartialShape(shape), ov.Type.f32, "seen"
    seen = Variable(about)
    last = ops.read_value(ops.constant(np.zeros(shape, np.float32)), seen)
    x = ops.add(x, last)
    head = ops.constant((random.randn(4, 8) / 4).astype(np.float32))
    scores = ops.matmul(ops.reduce_mean(x, integers(2, 3), False), head, False, True)
    return [image], named(scores=scores.output(0)), {}, ops.assign(x, seen)


def compressed(element, least, most):
    """Weights of the last layer as weight compression stores them: integers less a zero point, times a scale."""
    image, x, random = features()
    mean = ops.reduce_mean(x, integers(2, 3), False)

    def stored(values):
        return ops.convert(ops.constant(values.astype(np.int32), element), "f16")

    kept = stored(random.randint(least, most + 1, (6, 8)))
    if least == 0:
        kept = ops.subtract(kept, stored(random.randint(most // 2 - 1, most // 2 + 2, (6, 1))))
    scale = ops.constant((random.rand(6, 1) / most).astype(np.float16))
    head = ops.convert(ops.multiply(kept, scale), "f32")
    return [image], named(scores=ops.matmul(mean, head, False, True).output(0)), {}


@model
def compressed_u8():
    return compressed(ov.Type.u8, 0, 255)


@model
def compressed_u4():
    return compressed(ov.Type.u4, 0, 15)


@model
def compressed_i8():
    return compressed(ov.Type.i8, -127, 127)


@model
def compressed_i4():
    return compressed(ov.Type.i4, -7, 7)


@model
def queries():
    """Scores of queries, without an activation: by a softmax most are of no object, the last class."""
    image, scores = network([0] * 12)
    shift = np.tile(np.array([0, 1, 9], np.float32), (4, 1))
    shift[0] = [0, 9, 3]
    scores = ops.add(ops.reshape(scores, integers(1, 4, 3), False), ops.constant(np.repeat(shift, 1, 0)[None]))
    more = ops.constant(np.tile(np.array([0, 0, 9], np.float32), (1, 16, 1)))
    scores = ops.concat([scores, more], 1)
    boxes = ops.constant(np.full((1, 20, 4), 0.5, np.float32))
    return [image], named(logits=scores.output(0), pred_boxes=boxes.output(0)), {"labels": "cat dog"}


@model
def two_lists():
    """Scores of two kinds of classes, and their embedding."""
    image, x, random = features()
    mean = ops.reduce_mean(x, integers(2, 3), False)

    def scores(classes):
        return ops.matmul(mean, ops.constant((random.randn(classes, 8) / 4).astype(np.float32)), False, True).output(0)

    return [image], named(animals=scores(4), colours=scores(3)), {}


def embedding(normalised):
    """Numbers of which none is a class's score."""
    image, numbers = network([0] * 6)
    return [image], named(embedding=normalised(numbers).output(0)), {}


@model
def embedding_by_operation():
    return embedding(lambda x: ops.normalize_l2(x, integers(1), 1e-12, "add"))


@model
def embedding_by_its_length():
    """As PyTorch's normalize is exported, and scaled."""

    def normalised(x):
        length = ops.maximum(ops.reduce_l2(x, integers(1), True), floats(1e-12))
        return ops.multiply(ops.divide(x, length), floats(20))

    return embedding(normalised)


@model
def embedding_written_out():
    def normalised(x):
        squares = ops.reduce_sum(ops.multiply(x, x), integers(1), True)
        return ops.multiply(x, ops.power(squares, floats(-0.5)))

    return embedding(normalised)


@model
def shares():
    """Scores that sum to one, which each class has a share of: no embedding."""
    image, scores = network([1] * 6)
    scores = ops.relu(scores)
    return [image], named(shares=ops.divide(scores, ops.reduce_sum(scores, integers(1), True)).output(0)), {}


def main():
    folder = Path(sys.argv[1])
    for name, build in MODELS.items():
        inputs, outputs, info, *sinks = build()
        found = ov.Model([ops.result(output) for output in outputs], sinks, inputs, name)
        for key, value in info.items():
            found.set_rt_info(value, ["model_info", key])
        ov.save_model(found, folder / f"{name}.xml", compress_to_fp16=False)


if __name__ == "__main__":
    main()
