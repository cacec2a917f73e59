"""Write models whose answers are known by arithmetic to a folder: `explain_models.py FOLDER`.

The input is an image [1,3,32,48]. What is asked is how bright its top left quarter is.
"""

import sys
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

HEIGHT, WIDTH = 32, 48


def brightness(image):
    """Mean over the channels and the top left quarter, [1,1]."""
    weights = np.zeros((3, HEIGHT, WIDTH), np.float32)
    weights[:, : HEIGHT // 2, : WIDTH // 2] = 4 / (3 * HEIGHT * WIDTH)
    flat = ops.reshape(image, np.array([1, -1]), False)
    return ops.matmul(flat, weights.reshape(-1, 1), False, False)


def image():
    parameter = ops.parameter([1, 3, HEIGHT, WIDTH], np.float32, name="image")
    parameter.output(0).set_names({"image"})
    return parameter


def save(folder, name, parameter, **outputs):
    for key, node in outputs.items():
        node.output(0).set_names({key})
    model = ov.Model([ops.result(node) for node in outputs.values()], [parameter], name)
    ov.save_model(model, str(folder / f"{name}.xml"), compress_to_fp16=False)


def main(folder):
    x = image()
    logits = ops.concat([ops.multiply(brightness(x), np.float32(8)), np.full((1, 1), 4, np.float32)], 1)
    save(folder, "quarter", x, scores=ops.softmax(logits, 1))

    # One object whose score is the brightness; its box is the quarter. The second row is padding.
    x = image()
    score = brightness(x)
    first = [np.array([[0, 1]], np.float32), score, np.array([[0, 0, 0.5, 0.5]], np.float32)]
    rows = ops.concat([ops.concat(first, 1), np.array([[-1, 0, 0, 0, 0, 0, 0]], np.float32)], 0)
    save(folder, "sevens", x, detections=ops.reshape(rows, np.array([1, 1, 2, 7]), False))

    x = image()
    corners = np.array([[0, 0, WIDTH / 2, HEIGHT / 2]], np.float32)
    boxes = ops.unsqueeze(ops.concat([corners, brightness(x)], 1), np.array(0))
    save(folder, "scored", x, boxes=boxes, labels=ops.constant(np.array([[1]], np.int64)))

    x = image()
    corners = np.array([[[0, 0, WIDTH / 2, HEIGHT / 2]]], np.float32)
    save(
        folder,
        "apart",
        x,
        boxes=ops.constant(corners),
        scores=brightness(x),
        labels=ops.constant(np.array([[1]], np.int64)),
    )

    # Boxes of one class, which have a score each: the brightness, and one half.
    x = image()
    scores = ops.concat([np.full((1, 1), 0.5, np.float32), brightness(x)], 1)
    corners = np.array([[[0, 0, 1, 1], [0, 0, WIDTH / 2, HEIGHT / 2]]], np.float32)
    save(folder, "faces", x, boxes=ops.constant(corners), scores=scores)

    x = image()
    nothing = ops.multiply(brightness(x), np.float32(0))
    save(folder, "nan", x, scores=ops.concat([ops.divide(nothing, nothing), nothing], 1))

    vector = ops.parameter([1, 8], np.float32, name="vector")
    save(folder, "vector", vector, scores=ops.matmul(vector, np.ones((8, 2), np.float32), False, False))


main(Path(sys.argv[1]))
