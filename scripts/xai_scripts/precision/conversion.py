"""Worker: writes a model as an IR. Arguments: its name, the IR, and the file of weights where it was fetched."""

import sys
from pathlib import Path

import openvino


def of_torch(name, source):
    """A classifier of PyTorch: fetched, or timm's with random weights."""
    import torch

    if source is None:
        import timm

        torch.manual_seed(0)
        model = timm.create_model(name, pretrained=False, exportable=True).eval()
        size = model.pretrained_cfg["input_size"]
    else:
        sys.path.insert(0, str(Path(source).parents[2]))
        from efficientnet_lite_pytorch import EfficientNet

        model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=source).eval()
        size = (3, 224, 224)
    example = torch.zeros(1, *size)
    return openvino.convert_model(model, example_input=example, input=[1, *size])


def main(name, path, source=None):
    """Convert and write."""
    onnx = source is not None and source.endswith(".onnx")
    model = openvino.convert_model(source) if onnx else of_torch(name, source)
    port = model.inputs[0]
    if port.partial_shape.is_dynamic:
        channels_last = port.partial_shape[3].is_static
        side = 224 if channels_last else 320
        model.reshape([1, side, side, 3] if channels_last else [1, 3, side, side])
    openvino.save_model(model, path, compress_to_fp16=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
