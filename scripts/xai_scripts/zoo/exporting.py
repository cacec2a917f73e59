"""Worker: one timm classifier with random weights as OpenVINO IR, static and with a dynamic batch.

Arguments: the model, the folder, batches with commas between them, and `torch` or `onnx`.
"""

import sys
import tempfile
from pathlib import Path

import openvino as ov
import timm
import torch

from ..torch_models.convert import convert_torch, name_ports, save
from ..torch_models.seeded import batched, seeded


def main(name, folder, batches, front_end):
    """Write `folder/{batch}/name.xml` for each of `batches`."""
    torch.set_num_threads(2)
    model, images = seeded(lambda: timm.create_model(name, pretrained=False))
    for batch in batches.split(","):
        shape = batched(images, batch)
        # With a dynamic batch the trace sees two images: what it takes for constant is not the 1.
        example = images[:1] if batch == "static" else images
        through = through_onnx if front_end == "onnx" else through_torch
        save(name_ports(through(model, example, shape)), Path(folder) / batch / f"{name}.xml")


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


if __name__ == "__main__":
    main(*sys.argv[1:])
