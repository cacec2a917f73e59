"""One timm classifier with random weights as OpenVINO IR, static and with a dynamic batch."""

import tempfile
from pathlib import Path

import openvino as ov
import timm
import torch

from fixtures_lib.convert import convert_torch, name_ports, save
from fixtures_lib.torch_tools import prepare, smooth_images


def export(name, folder, batches, front_end):
    """Write `folder/{batch}/name.xml` for each of `batches`."""
    torch.manual_seed(0)
    torch.set_num_threads(2)
    model = timm.create_model(name, pretrained=False)
    size = model.pretrained_cfg["input_size"]
    images = smooth_images((2, *size), seed=1)
    prepare(model, images)
    for batch in batches:
        shape = [1 if batch == "static" else -1, *size]
        # With a dynamic batch the trace sees two images: what it takes for constant is not the 1.
        example = images[:1] if batch == "static" else images
        if front_end == "onnx":
            converted = through_onnx(model, example, shape)
        else:
            converted = through_torch(model, example, shape)
        path = Path(folder) / batch / f"{name}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        save(name_ports(converted), path)


def through_torch(model, example, shape):
    """Trace the model, or export it where it does not trace: convit keeps tensors between calls."""
    try:
        return convert_torch(model, [example], [shape])
    except Exception:
        dynamic = ({0: torch.export.Dim("batch")},) if shape[0] < 0 else None
        program = torch.export.export(model, (example,), dynamic_shapes=dynamic)
        return ov.convert_model(program, input=[ov.PartialShape(shape)])


def through_onnx(model, example, shape):
    """Export to ONNX and read that."""
    dynamic = {"image": {0: "batch"}} if shape[0] < 0 else None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            model,
            (example,),
            str(path),
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes=dynamic,
            dynamo=False,
            opset_version=17,
        )
        return ov.convert_model(path, input=[ov.PartialShape(shape)])
