"""Both orders of quantization and insertion, and what becomes of the maps."""

import logging
from typing import NamedTuple

import nncf
import numpy as np
import openvino as ov
import torch
import xai_insert
from PIL import Image

from ..common import imagenet, paths
from ..fixtures.class_token import SIZE as TOKEN_SIZE
from ..fixtures.class_token import Classifier, by_slice
from ..fixtures.cnn import SIZE, Pooled
from ..fixtures.quantized import basic_resnet
from ..torch_models.convert import convert_torch, name_ports
from ..precision.cutting import cut_model, read_by_branch, tapped_model
from ..torch_models.torch_tools import prepare, smooth_images

MEAN, SCALE = np.float32(imagenet.MEAN), np.float32(imagenet.SCALE)
CALIBRATION, MEASURED = 32, 8
LEFT_OUT = "branch, INT8; branch left out"


class Subject(NamedTuple):
    """A model, its images, and what NNCF takes it for."""

    name: str
    model: ov.Model
    images: list
    kind: nncf.ModelType | None


def crops(count):
    """Crops of the photo, of several sizes."""
    photo = Image.open(paths.MOBILENET / "chelsea.png").convert("RGB")
    rng = np.random.default_rng(0)
    for _ in range(count):
        side = int(rng.integers(160, 300))
        left, top = (int(rng.integers(0, extent - side + 1)) for extent in photo.size)
        pixels = np.asarray(photo.crop((left, top, left + side, top + side)).resize((224, 224)), np.float32)
        yield ((pixels - MEAN) / SCALE).transpose(2, 0, 1)[None].astype(np.float32)


def small(name, model, size, kind):
    """A small model with random weights."""
    torch.manual_seed(0)
    prepare(model, smooth_images((4, 3, *size), seed=1))
    images = [smooth_images((1, 3, *size), seed).numpy() for seed in range(CALIBRATION + MEASURED)]
    converted = name_ports(convert_torch(model, [torch.from_numpy(images[0])]))
    return Subject(name, converted, images, kind)


def subjects():
    """The models that are measured."""
    mobilenet = ov.Core().read_model(paths.fixture("mobilenet_v2"))
    yield Subject("mobilenet_v2", mobilenet, list(crops(CALIBRATION + MEASURED)), None)
    torch.manual_seed(0)
    yield small("basic blocks (as resnet18)", basic_resnet(), SIZE, None)
    # Of 32x48 positions each is a small part of the mean that is read, less than a step.
    yield small("fine grid (32x48)", Pooled(), tuple(8 * extent for extent in SIZE), None)
    token = Classifier(read=by_slice)
    yield small("class token (as deit_tiny)", token, TOKEN_SIZE, nncf.ModelType.TRANSFORMER)


def quantize(subject, model, **options):
    """Post-training INT8, calibrated on the first images."""
    dataset = nncf.Dataset(subject.images[:CALIBRATION])
    return nncf.quantize(model, dataset, subset_size=CALIBRATION, model_type=subject.kind, **options)


def insert(model, **options):
    """The model with maps in float."""
    return xai_insert.insert_xai(model, saliency_type="f32", **options)


def orders(subject):
    """Each order of the two steps, with its model."""
    quantized = quantize(subject, subject.model)
    for definition in ("exact", "smooth"):
        yield f"INT8, branch, `{definition}`", insert(quantized, quantized=definition)
    explained = insert(subject.model)
    yield "branch, INT8", quantize(subject, explained)
    left_out = nncf.IgnoredScope(patterns=["xai/.*"])
    yield LEFT_OUT, quantize(subject, explained, ignored_scope=left_out)


def floor(subject):
    """Logits of the quantized model, and maps of the FP32 head on the features that it computes: no branch can do better."""
    # Copies read what is masked and nothing else of the head.
    explained = insert(subject.model, lowering="dense")
    read = [key for key in read_by_branch(explained) if key[0] != "logits"]
    quantized = quantize(subject, subject.model)
    device = ov.Core().compile_model(tapped_model(quantized, read), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    head = ov.Core().compile_model(cut_model(explained, read), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = []
    for image in subject.images[CALIBRATION:]:
        logits, *values = (np.array(value) for value in device(image).values())
        found.append((logits[0], np.array(next(iter(head(values).values())))[0]))
    return found


def run(model, images):
    """Logits and maps of each image."""
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = [compiled(image) for image in images]
    return [(outputs["logits"][0].copy(), outputs["saliency_map"][0].copy()) for outputs in found]


def compare(expected, found):
    """The figures of a row, over all images and their five best classes."""
    correlations, differences, positions, classes, drifts = [], [], [], [], []
    for (logits, maps), (other_logits, other_maps) in zip(expected, found, strict=True):
        classes.append(logits.argmax() == other_logits.argmax())
        drifts.append(np.abs(logits - other_logits).max() / np.abs(logits).max())
        for index in np.argsort(-logits)[:5]:
            one, other = maps[index].ravel(), other_maps[index].ravel()
            flat = one.std() == 0 or not other.std() > 0
            correlations.append(0 if flat else np.corrcoef(one, other)[0, 1])
            differences.append(np.abs(one - np.nan_to_num(other)))
            positions.append(one.argmax() == other.argmax())
    return {
        "correlation": (np.mean(correlations), np.min(correlations)),
        "difference": (np.mean(differences), np.max(differences)),
        "position": np.mean(positions),
        "class": np.mean(classes),
        "drift": np.max(drifts),
    }


def figures():
    """Model, order and figures, one after the other."""
    nncf.set_log_level(logging.ERROR)
    for subject in subjects():
        images = subject.images[CALIBRATION:]
        expected, least = run(insert(subject.model), images), floor(subject)
        yield subject.name, "floor: the FP32 head on features in INT8", compare(expected, least)
        for order, model in orders(subject):
            found = run(model, images)
            beside = compare(least, found) if order.startswith("INT8") else None
            yield subject.name, order, compare(expected, found) | {"floor": beside}


def circumstances():
    """Versions and numbers of images, for the text."""
    return {
        "nncf": nncf.__version__,
        "openvino": ov.__version__.split("-")[0],
        "calibration": CALIBRATION,
        "measured": MEASURED,
    }
