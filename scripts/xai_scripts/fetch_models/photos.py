"""Worker: shows where the maps of photos point; ends with 1 where that is beside the object.

Arguments: the model's name, and its IR with the branch.
"""

import sys

import numpy as np
import openvino
from PIL import Image
from skimage import data

from .sources import LABELS


def decode(name, box, place, size):
    """Left, top, right and bottom of a raw box, as parts of the image."""
    if name == "ssd_mobilenet_v2":
        y, x, height, width = box[:4] / [10, 10, 5, 5]
        row, column, tall, wide = ssd_anchors()[place]
        y, x = y * tall + row, x * wide + column
        height, width = tall * np.exp(height), wide * np.exp(width)
    else:
        row, column = face_positions(name)[place]
        x, y, width, height = box[:4] / [size[1], size[0], size[1], size[0]]
        y, x = y + row, x + column
    return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])


def ssd_anchors():
    """Centre and extents of every anchor (TensorFlow's SSD anchor generator, six layers, 0.2 to 0.95)."""
    scales = [0.2 + 0.15 * layer for layer in range(6)] + [1.0]
    anchors = []
    for layer, side in enumerate((19, 10, 5, 3, 2, 1)):
        shapes = [(scales[layer], ratio) for ratio in (1, 2, 1 / 2, 3, 1 / 3)]
        shapes.append(((scales[layer] * scales[layer + 1]) ** 0.5, 1))
        if layer == 0:
            shapes = [(0.1, 1), (scales[0], 2), (scales[0], 1 / 2)]
        for row in range(side):
            for column in range(side):
                for scale, ratio in shapes:
                    centre = ((row + 0.5) / side, (column + 0.5) / side)
                    anchors.append((*centre, scale / ratio**0.5, scale * ratio**0.5))
    return anchors


def face_positions(name):
    """Row and column of every anchor; its size is that of the image."""
    layers = [(48, 1)] if name == "blazeface_full_range" else [(16, 2), (8, 6)]
    places = [
        (side, row, column)
        for side, count in layers
        for row in range(side)
        for column in range(side)
        for _ in range(count)
    ]
    return [((row + 0.5) / side, (column + 0.5) / side) for side, row, column in places]


def main(name, path):
    """Print a line for each photo."""
    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    height, width = list(model.inputs[0].shape)[1:3]
    objects = {"ssd_mobilenet_v2": [("coffee", "Coffee cup"), ("chelsea", "Cat"), ("astronaut", "Person")]}
    labels = ["Face"]
    if name == "ssd_mobilenet_v2":
        labels = LABELS.read_text().splitlines()
    beside = 0
    for photo, label in objects.get(name, [("astronaut", "Face")]):
        image = Image.fromarray(getattr(data, photo)()).convert("RGB")
        pixels = np.asarray(image.resize((width, height)), np.float32) / 127.5 - 1
        found = model(pixels[None])
        boxes, scores = (value[0] for value in list(found.values())[:2])
        chosen = labels.index(label)
        best = scores[:, chosen].argmax()
        box = decode(name, boxes[best], best, (height, width)) * [*image.size, *image.size]
        heat = found["saliency_map"][0, chosen].astype(float)
        grid = (np.indices(heat.shape) + 0.5) / np.array(heat.shape).reshape(2, 1, 1)
        rows, columns = grid[0] * image.size[1], grid[1] * image.size[0]
        inside = (columns > box[0]) & (columns < box[2]) & (rows > box[1]) & (rows < box[3])
        place = np.unravel_index(heat.argmax(), heat.shape)
        score = 1 / (1 + np.exp(-scores[best, chosen]))
        print(
            f"photo       {photo} {image.size[0]}x{image.size[1]}, {label} {score:.2f}: box "
            f"{np.round(box).astype(int).tolist()}, maximum at [{columns[place]:.0f}, {rows[place]:.0f}], "
            f"{'inside' if inside[place] else 'BESIDE'}; mean {heat[inside].mean():.0f} inside, "
            f"{heat[~inside].mean():.0f} outside"
        )
        beside += not inside[place]
    return 1 if beside else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
