"""Conversion to OpenVINO IR, and writing it so that the same script gives the same files."""

import re
from pathlib import Path

import openvino as ov
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from openvino.passes import ConstantFolding, Manager

from .torch_tools import prepare, smooth_images

# The converter notes its arguments here, among them the path of the source model.
CONVERTER_NOTES = "conversion_parameters"


def convert_torch(model, example_inputs, shapes=None):
    """Trace `model` and convert it. `shapes` holds one shape per input, -1 for a dynamic one."""
    example = tuple(example_inputs)
    shapes = shapes or [list(tensor.shape) for tensor in example]
    return ov.convert_model(
        model,
        example_input=example if len(example) > 1 else example[0],
        input=[ov.PartialShape(shape) for shape in shapes],
    )


def convert_torch_plain(model, example_input, shape):
    """Convert by the front end alone, as older releases did for what they had no fusion for.

    The full conversion makes ScaledDotProductAttention of written-out attention.
    """
    decoder = TorchScriptPythonDecoder(model, example_input=example_input)
    front_end = FrontEndManager().load_by_framework("pytorch")
    converted = front_end.convert(front_end.load(decoder))
    converted.reshape(ov.PartialShape(shape))
    fold_constants(converted)
    drop_unit_factors(converted)
    return converted


def drop_unit_factors(model):
    """Remove multiplications by one, which stand for the `alpha` of PyTorch's sums."""
    for op in model.get_ordered_ops():
        if op.get_type_name() != "Multiply":
            continue
        for index in range(2):
            factor = op.input_value(index).get_node()
            if factor.get_type_name() == "Constant" and factor.get_data().tolist() == 1:
                op.output(0).replace(op.input_value(1 - index))
                break


def fold_constants(model):
    """Compute what depends on constants only."""
    passes = Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(model)


def name_ports(model, inputs=("image",), outputs=("logits",)):
    """Name inputs and outputs: a trace leaves outputs unnamed or numbered."""
    for port, name in zip(model.inputs, inputs, strict=True):
        port.get_tensor().set_names({name})
        port.get_node().set_friendly_name(name)
    for port, name in zip(model.outputs, outputs, strict=True):
        port.get_tensor().set_names({name})
    return model


def export_torch(path, model, shape, outputs=("logits",), compress_to_fp16=True, fusions=True):
    """Prepare, convert and save a model with one image input of `shape` (-1 is dynamic).

    Without `fusions` the graph is left as the front end makes it.
    A dynamic batch is traced with two images, a fixed one as it is: some models build their
    reshapes from the batch that they see.
    """
    batch, channels, height, width = shape
    size = [64 if height < 0 else height, 96 if width < 0 else width]
    images = smooth_images((8, channels, *size), seed=1)
    prepare(model, images)
    example = images[: 2 if batch < 0 else batch]
    if fusions:
        converted = convert_torch(model, [example], [shape])
    else:
        converted = convert_torch_plain(model, example, shape)
    name_ports(converted, outputs=outputs)
    save(converted, path, compress_to_fp16=compress_to_fp16)


def save(model, path, compress_to_fp16=True):
    """Write `path` (.xml) and its BIN, without the converter's notes; the net is named after it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    model.set_friendly_name(path.stem)
    ov.save_model(model, path, compress_to_fp16=compress_to_fp16)
    path.write_text(strip_converter_notes(path.read_text(encoding="utf-8")), encoding="utf-8")


def renumber(model):
    """Number the generated names (`Constant_32063`) anew: not every tool counts reproducibly."""
    for index, node in enumerate(model.get_ordered_ops()):
        if re.fullmatch(rf"{node.get_type_name()}_\d+", node.get_friendly_name()):
            node.set_friendly_name(f"{node.get_type_name()}_{index}")


def strip_converter_notes(xml):
    """Remove the converter's own entry from the net's `rt_info`, the last section of the file."""
    start = xml.rfind("<rt_info>")
    entry = rf"\s*<{CONVERTER_NOTES}>.*?</{CONVERTER_NOTES}>"
    return xml[:start] + re.sub(entry, "", xml[start:], flags=re.DOTALL)
