"""What the sweep runs: families of models, the forms in which they are exported, and what some of them need."""

import fnmatch
from pathlib import Path

from ..common import environments, paths
from .sources import keras, timm, torchvision, transformers

REQUIREMENTS = paths.SCRIPTS / "requirements-zoo.txt"
KERAS = ("tensorflow-cpu==2.21.0", "keras==3.15.1", "openvino==2026.4.1", "pillow")

# What of PyTorch's is traced, exported, or goes through ONNX; `forms.py` says how.
TRACED = ("static", "dynamic", "noshape")
TODAY = ("dynamo", "program")
OLD_ONNX = ("onnx_static", "onnx_dynamic")

TITLES = {
    "static": "trace, static shape",
    "dynamic": "trace, dynamic batch",
    "noshape": "trace, no shape",
    "dynamo": "ONNX, dynamo",
    "program": "torch.export",
    "onnx_static": "ONNX, older exporter, static shape",
    "onnx_dynamic": "ONNX, older exporter, dynamic batch",
    "saved": "SavedModel, dynamic batch",
    "saved_static": "SavedModel, static shape",
    "optimum": "optimum-cli, default",
}

# Options that some exports need, by family, model and form: patches have no rows and columns of their own, and some graphs
# say the number of patches alone.
OPTIONS = (
    ("transformers", "siglip2", "*", ("--grid", "14x14")),
    ("transformers", "hiera", "program", ("--input-shape", "[?,3,224,224]")),
    ("transformers", "hiera", "noshape", ("--input-shape", "[?,3,224,224]")),
    ("timm", "hiera_tiny_224", "program", ("--input-shape", "[?,3,224,224]")),
    ("timm", "naflexvit_*", "noshape", ("--input-shape", "[?,3,384,384]")),
    ("timm", "naflexvit_*", "program", ("--input-shape", "[?,3,384,384]")),
    ("timm", "hiera_tiny_224", "noshape", ("--input-shape", "[?,3,224,224]")),
)


def families():
    """By name: models, each with its forms."""
    return {
        "timm": {
            model: TRACED + (TODAY if module != "-" else ()) + (OLD_ONNX if module in timm.THROUGH_OLD_ONNX else ())
            for model, (module, _) in timm.modules().items()
        },
        "transformers": {name: TRACED + TODAY for name in transformers.NAMES},
        "torchvision": {name: TRACED + TODAY for name in torchvision.NAMES},
        "keras": {name: ("saved", "saved_static") for name in keras.NAMES},
        "optimum": {name: ("optimum",) for name in transformers.OPTIMUM},
    }


def interpreter(family):
    """The interpreter that has what a family needs."""
    if family == "keras":
        return environments.environment("zoo-keras", *KERAS)
    return environments.environment("zoo", requirements=REQUIREMENTS)


def options(family, model, form):
    """What `xai-insert` is told about an export."""
    for of, pattern, forms, given in OPTIONS:
        if of == family and fnmatch.fnmatch(model, pattern) and fnmatch.fnmatch(form, forms):
            return list(given)
    return []


def shape(form, size):
    """The shape on which an export is checked; `None` where its own says it. A `torch.export` holds for one image."""
    if form in ("noshape", "optimum"):
        return [2, *size]
    return [1, *size] if form == "program" else None


def stem(model):
    """The name of a model's files."""
    return model.replace(":", "_")


def file(folder: Path, family, form, model):
    """Where an export is kept."""
    return folder / family / form / f"{stem(model)}.xml"
