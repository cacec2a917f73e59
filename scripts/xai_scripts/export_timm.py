"""Export a timm classifier to OpenVINO IR with a saliency map, and check it.

    scripts/export_timm.py mobilenetv3_large_100 --out models [--int8 --calibration FOLDER]

Needs: pip install timm openvino xai-insert, and nncf for --int8.

Ends with 1 where verification fails, and with 2 where the model cannot be exported or the check cannot run.
Transformers in INT8 can fail, see docs/int8.md.

This file uses nothing else of its package, so that it can be copied into another project.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import openvino as ov
import timm
import torch
import xai_insert
from PIL import Image


def preprocessing(model):
    """What timm does to images, in the terms of OpenVINO's Model API."""
    config = timm.data.resolve_data_config(model=model)
    return {
        "model_type": "Classification",
        "mean_values": " ".join(f"{255 * value:.4f}" for value in config["mean"]),
        "scale_values": " ".join(f"{255 * value:.4f}" for value in config["std"]),
        "reverse_input_channels": "False",
        "resize_type": "standard",
        "layout": "NCHW",
    }


def convert(name, pretrained, batch):
    """The timm model as an `openvino.Model`, with its preprocessing noted in `model_info`."""
    model = timm.create_model(name, pretrained=pretrained, exportable=True).eval()
    size = model.pretrained_cfg["input_size"]
    converted = ov.convert_model(
        model, example_input=torch.zeros(max(batch, 1), *size), input=[batch if batch > 0 else -1, *size]
    )
    converted.inputs[0].get_tensor().set_names({"image"})
    converted.outputs[0].get_tensor().set_names({"logits"})
    for key, value in preprocessing(model).items():
        converted.set_rt_info(value, ["model_info", key])
    return converted


def calibration(model, folder, count):
    """Images to calibrate on: those of `folder`, or noise, which is good for a trial only."""
    channels, height, width = (dim.get_length() for dim in list(model.input().partial_shape)[1:])
    info = {key: model.get_rt_info(["model_info", key]).astype(str) for key in ("mean_values", "scale_values")}
    mean, scale = (np.float32(info[key].split()) for key in ("mean_values", "scale_values"))
    if folder is None:
        print("no --calibration: INT8 ranges come from noise", file=sys.stderr)
        rng = np.random.default_rng(0)
        return [rng.normal(size=(1, channels, height, width)).astype(np.float32) for _ in range(count)]
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not found:
        raise ValueError(f"{folder} holds no JPEG or PNG")
    images = []
    for path in found[:count]:
        pixels = np.asarray(Image.open(path).convert("RGB").resize((width, height)), np.float32)
        images.append(((pixels - mean) / scale).transpose(2, 0, 1)[None])
    return images


def quantize(model, images):
    """Post-training INT8."""
    import nncf

    # Norms and Softmax of transformers stay in float.
    attention = any(op.get_type_name() in ("Softmax", "ScaledDotProductAttention") for op in model.get_ops())
    kind = nncf.ModelType.TRANSFORMER if attention else None
    return nncf.quantize(model, nncf.Dataset(images), subset_size=len(images), model_type=kind)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="timm model, with or without a tag")
    parser.add_argument("--out", type=Path, default=Path("."), help="folder to write to (default: this one)")
    parser.add_argument("--batch", type=int, default=1, help="static batch; 0 is dynamic (default: 1)")
    parser.add_argument("--random-weights", action="store_true", help="do not download trained weights")
    parser.add_argument("--int8", action="store_true", help="quantize with NNCF before the branch is added")
    parser.add_argument("--calibration", type=Path, metavar="FOLDER", help="images for --int8")
    parser.add_argument("--calibration-size", type=int, default=300, help="how many of them (default: 300)")
    parser.add_argument("--targets", default="top5", help="classes that get a map (default: top5)")
    parser.add_argument("--image", type=Path, help="verify on this image in place of random ones")
    arguments = parser.parse_args()

    name = arguments.name.replace("/", "_")
    arguments.out.mkdir(parents=True, exist_ok=True)
    original = arguments.out / f"{name}.xml"
    explained = arguments.out / f"{name}_xai.xml"
    try:
        model = convert(arguments.name, not arguments.random_weights, arguments.batch)
        if arguments.int8:
            model = quantize(model, calibration(model, arguments.calibration, arguments.calibration_size))
        ov.save_model(model, original)
        report = xai_insert.insert_xai(
            original, targets=arguments.targets, feature_vector=True, output_file=explained, overwrite=True
        )
        print(report)
        checked = xai_insert.verify(original, explained, image=arguments.image, bench=True)
    except (xai_insert.XaiInsertError, ImportError, OSError, RuntimeError, ValueError) as error:
        print(f"{arguments.name}: {error}", file=sys.stderr)
        return 2
    print(checked, end="")
    if not checked:
        return 1
    cost = checked.checks["cost"].figures
    before, after = cost["original_ms"], cost["model_ms"]
    print(f"{explained}: {before:.2f} ms, with saliency maps {after:.2f} ms (x{cost['ratio']:.3f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
