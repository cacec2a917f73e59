"""Worker: a timm network, by `openvino.convert_model`, which writes no `model_info`; and to ONNX beside it."""

import openvino as ov
import timm
import torch

from . import weights, worker


def main():
    folder, photo = worker.arguments()
    network, image = weights.filled(timm.create_model("mobilenetv2_100")), torch.zeros(1, 3, 224, 224)
    path = folder / "timm" / "model.xml"
    ov.save_model(ov.convert_model(network, example_input=image), path)
    torch.onnx.export(network, (image,), str(folder / "timm" / "model.onnx"), dynamo=False, input_names=["image"])
    worker.made(path, photo)


if __name__ == "__main__":
    main()
