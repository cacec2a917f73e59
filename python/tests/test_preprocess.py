"""Models with their preprocessing in the graph are fed what the graph leaves to be done, whatever `model_info` says."""

from __future__ import annotations

import numpy as np
import openvino as ov
import pytest
import xai_insert
from conftest import MOBILENET, PHOTO
from openvino.preprocess import ColorFormat, PrePostProcessor, ResizeAlgorithm
from PIL import Image

MEAN, SCALE = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
EGYPTIAN_CAT = 285


def steps(info: bool, element: ov.Type, layout: str):
    """The fixture with an input of that type and layout, and what is yet to be done to it."""
    model = ov.Core().read_model(MOBILENET)
    if not info:
        del model.rt_info["model_info"]
    processor = PrePostProcessor(model)
    processor.input().tensor().set_element_type(element).set_layout(ov.Layout(layout))
    processor.input().model().set_layout(ov.Layout("NCHW"))
    return processor


def fed(model: ov.Model, pixels: np.ndarray, layout: str) -> float:
    """The score of the cat, from OpenVINO fed by hand with pixels `[height, width, channels]`."""
    image = (pixels if layout == "NHWC" else pixels.transpose(2, 0, 1))[None]
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    logits = compiled(np.ascontiguousarray(image).astype(compiled.input(0).element_type.to_dtype()))[0][0]
    scores = np.exp(logits - logits.max())
    assert logits.argmax() == EGYPTIAN_CAT
    return float(scores.max() / scores.sum())


def photo(width: int, height: int) -> np.ndarray:
    return np.asarray(Image.open(PHOTO).convert("RGB").resize((width, height), Image.BILINEAR))


def explained(model: ov.Model, truth: float, **options: object) -> dict:
    """Settings of an explanation that sees the cat as surely as `truth`."""
    explainer = xai_insert.Explainer(model, targets="top1", **options)
    [target] = explainer(PHOTO).targets
    assert target.class_id == EGYPTIAN_CAT
    assert target.score == pytest.approx(truth, abs=0.05)
    return explainer.settings


@pytest.mark.parametrize("info", [True, False])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("size", ["network", "photo", "any"])
def test_bytes_that_the_graph_normalises(info, layout, size):
    processor = steps(info, ov.Type.u8, layout)
    todo = processor.input().preprocess().convert_element_type(ov.Type.f32)
    if size == "photo":
        processor.input().tensor().set_spatial_static_shape(300, 451)
    elif size == "any":
        processor.input().tensor().set_spatial_dynamic_shape()
    if size != "network":
        todo.resize(ResizeAlgorithm.RESIZE_LINEAR)
    todo.mean(MEAN).scale(SCALE)
    model = processor.build()
    truth = fed(model, photo(224, 224) if size == "network" else photo(451, 300), layout)
    settings = explained(model, truth)
    assert settings["input"]["channels_last"] == (layout == "NHWC")
    assert settings["input"]["layout_source"] == settings["preprocessing"]["source"] == "graph"


@pytest.mark.parametrize("info", [True, False])
@pytest.mark.parametrize("first", ["mean", "unit"])
def test_floats_that_the_graph_normalises(info, first):
    """Pixels of 0 to 255, or of 0 to 1: the mean tells which."""
    unit = 255.0 if first == "unit" else 1.0
    processor = steps(info, ov.Type.f32, "NCHW")
    normalise = processor.input().preprocess()
    normalise.mean([mean / unit for mean in MEAN]).scale([scale / unit for scale in SCALE])
    model = processor.build()
    settings = explained(model, fed(model, photo(224, 224) / unit, "NCHW"))
    done = settings["preprocessing"]
    assert (done["source"], done["mean"], done["scale"]) == ("graph", [0.0], [1.0])


def test_blue_comes_first_where_the_graph_turns_it_round():
    """The reversal is folded into weights; the mean's order is what is left to see."""
    processor = steps(True, ov.Type.u8, "NHWC")
    processor.input().tensor().set_color_format(ColorFormat.BGR)
    todo = processor.input().preprocess().convert_element_type(ov.Type.f32).convert_color(ColorFormat.RGB)
    todo.mean(MEAN).scale(SCALE)
    model = processor.build()
    done = explained(model, fed(model, photo(224, 224)[:, :, ::-1], "NHWC"))["preprocessing"]
    assert (done["reverse_channels"], done["reverse_channels_source"]) == (True, "graph")


def test_options_go_before_the_graph():
    processor = steps(True, ov.Type.f32, "NCHW")
    processor.input().preprocess().mean(MEAN)
    model = processor.build()
    settings = xai_insert.Explainer(model, preset="imagenet").settings["preprocessing"]
    assert (settings["source"], settings["mean"]) == ("options", pytest.approx(MEAN))
