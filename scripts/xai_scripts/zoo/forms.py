"""The forms in which people export a network of PyTorch."""

import tempfile
from pathlib import Path

import openvino as ov
import torch


def traced(model, images, shape):
    """`ov.convert_model` with a shape (-1: of any size), or without one where `shape` is None.

    A network that does not trace is exported: some keep tensors between calls.
    """
    dynamic = shape is None or shape[0] < 0
    # With a batch of any size the trace sees two images: what it takes for constant is not the 1.
    example = images if dynamic else images[:1]
    given = {} if shape is None else {"input": [ov.PartialShape(shape)]}
    try:
        return ov.convert_model(model, example_input=example, **given)
    except Exception:
        if shape is None:
            raise
        batch = ({0: torch.export.Dim("batch")},) if dynamic else None
        program = torch.export.export(model, (example,), dynamic_shapes=batch)
        return ov.convert_model(program, **given)


def static(model, images):
    return traced(model, images, [1, *images.shape[1:]])


def dynamic(model, images):
    return traced(model, images, [-1, *images.shape[1:]])


def noshape(model, images):
    return traced(model, images, None)


def through_onnx(model, images, batch, dynamo):
    """Export to ONNX and read that."""
    example = images[:1] if batch == 1 else images
    names = {"input_names": ["image"], "output_names": ["logits"]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        if dynamo:
            torch.onnx.export(model, (example,), str(path), dynamo=True, verbose=False, **names)
            return ov.convert_model(path)
        axes = {"image": {0: "batch"}} if batch < 0 else None
        torch.onnx.export(
            model, (example,), str(path), dynamic_axes=axes, dynamo=False, opset_version=17, **names
        )
        return ov.convert_model(path, input=[ov.PartialShape([batch, *images.shape[1:]])])


def onnx_static(model, images):
    return through_onnx(model, images, 1, dynamo=False)


def onnx_dynamic(model, images):
    return through_onnx(model, images, -1, dynamo=False)


def dynamo(model, images):
    return through_onnx(model, images, 1, dynamo=True)


def program(model, images):
    """`torch.export`, which the front end reads itself."""
    return ov.convert_model(torch.export.export(model, (images[:1],)))


# By name, what makes it of a network and two images.
FORMS = {
    "static": static,
    "dynamic": dynamic,
    "noshape": noshape,
    "onnx_static": onnx_static,
    "onnx_dynamic": onnx_dynamic,
    "dynamo": dynamo,
    "program": program,
}
