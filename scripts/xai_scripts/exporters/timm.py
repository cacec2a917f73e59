"""Worker: a timm network, by `openvino.convert_model`, which writes no `model_info`; and to ONNX beside it."""

import numpy as np
import openvino as ov
import timm
import torch
from PIL import Image

from ..common import imagenet
from . import weights, worker


def main():
    folder, photo = worker.arguments()
    network, image = weights.filled(timm.create_model("mobilenetv2_100")), torch.zeros(1, 3, 224, 224)
    pixels = np.asarray(Image.open(photo).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR), np.float32)
    pixels = (pixels - imagenet.MEAN) / imagenet.SCALE
    with torch.no_grad():
        own = network(torch.tensor(pixels.transpose(2, 0, 1)[None], dtype=torch.float32)).softmax(1)[0]
    path = folder / "timm" / "model.xml"
    ov.save_model(ov.convert_model(network, example_input=image), path)
    torch.onnx.export(network, (image,), str(folder / "timm" / "model.onnx"), dynamo=False, input_names=["image"])
    worker.made(path, photo, [[int(own.argmax()), float(own.max()), None]])


if __name__ == "__main__":
    main()
