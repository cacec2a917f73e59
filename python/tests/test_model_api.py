"""Clients that read maps by OpenVINO's Model API need no change."""

from __future__ import annotations

import numpy as np
import openvino as ov
import pytest
import xai_insert
from conftest import MOBILENET, PHOTO, run, small
from PIL import Image

adapters = pytest.importorskip("model_api.adapters")
model_api = pytest.importorskip("model_api.models")

MEAN, SCALE = np.float32([123.675, 116.28, 103.53]), np.float32([58.395, 57.12, 57.375])


def wrapped(path, wrapper="ClassificationModel"):
    """The model as Model API wraps it, in single precision."""
    config = {"INFERENCE_PRECISION_HINT": "f32"}
    adapter = adapters.OpenvinoAdapter(ov.Core(), str(path), device="CPU", plugin_config=config)
    return getattr(model_api, wrapper).create_model(adapter)


def test_a_classifier_returns_map_and_feature_vector(tmp_path):
    path = xai_insert.insert(MOBILENET, feature_vector=True).write(tmp_path / "explained.xml")
    plain, explained = wrapped(MOBILENET), wrapped(path)
    photo = np.asarray(Image.open(PHOTO).convert("RGB"))
    before, after = plain(photo), explained(photo)
    assert before.saliency_map.size == 0 and before.feature_vector.size == 0
    assert after.top_labels[0].name == before.top_labels[0].name == "Egyptian_cat"
    assert after.top_labels[0].confidence == pytest.approx(before.top_labels[0].confidence, abs=1e-5)
    assert (after.saliency_map.shape, after.saliency_map.dtype) == ((1, 1000, 7, 7), np.uint8)
    assert (after.feature_vector.shape, after.feature_vector.dtype) == ((1, 1280), np.float32)
    # The model itself says the same, fed without Model API.
    cut = photo[38:262, 100:324]
    image = ((cut - MEAN) / SCALE).transpose(2, 0, 1)[None]
    direct = run(path, image)
    found = explained(cut)
    assert np.abs(found.saliency_map.astype(int) - direct["saliency_map"]).max() <= 1
    np.testing.assert_allclose(found.feature_vector, direct["feature_vector"], atol=1e-3)


def test_model_info_survives(tmp_path):
    """Labels and preprocessing come from the original's `model_info`, in memory and in files."""
    original = ov.Core().read_model(MOBILENET)
    explained = xai_insert.insert_xai(original)
    for key in ("labels", "mean_values", "scale_values", "model_type"):
        path = ["model_info", key]
        assert explained.get_rt_info(path).astype(str) == original.get_rt_info(path).astype(str)


def exported(name, folder):
    """A copy of a fixture with the `model_info` that an export script writes.

    Mean and deviation are powers of two: pixels are the same to the last bit, whoever computes them.
    """
    model = ov.Core().read_model(small(name))
    info = {
        "model_type": "SSD",
        "labels": "apple bottle cup dish",
        "confidence_threshold": "0.35",
        "mean_values": "128 128 128",
        "scale_values": "64 64 64",
        "resize_type": "standard",
        "reverse_input_channels": "False",
    }
    for key, value in info.items():
        model.set_rt_info(value, ["model_info", key])
    ov.save_model(model, folder / f"{name}.xml", compress_to_fp16=False)
    return folder / f"{name}.xml"


def test_a_detector_returns_map_and_feature_vector_with_its_boxes(tmp_path):
    original = exported("det_ssd_labels", tmp_path)
    path = xai_insert.insert(original, feature_vector=True).write(tmp_path / "explained.xml")
    # The wrapper is chosen by what `model_info` says.
    plain, explained = wrapped(original, "Model"), wrapped(path, "Model")
    assert type(plain) is type(explained) is model_api.SSD
    photo = np.asarray(Image.open(PHOTO).convert("RGB"))
    before, after = plain(photo), explained(photo)
    assert before.saliency_map.size == 0 and before.feature_vector.size == 0
    assert len(after.bboxes) > 10 and after.scores.min() > 0.35
    assert after.bboxes.max() > 96, "boxes are in pixels of the photo"
    assert set(after.label_names) == {"apple", "bottle", "cup", "dish"}
    np.testing.assert_array_equal(after.bboxes, before.bboxes)
    np.testing.assert_array_equal(after.labels, before.labels)
    assert after.label_names == before.label_names
    np.testing.assert_allclose(after.scores, before.scores, rtol=1e-6)
    # Background is the last class and cut off before boxes are suppressed, so that maps go by label.
    assert (after.saliency_map.shape, after.saliency_map.dtype) == ((1, 4, 23, 23), np.uint8)
    assert (after.feature_vector.shape, after.feature_vector.dtype) == ((1, 36), np.float32)
    # The model itself says the same, fed without Model API.
    cut = photo[100:164, 150:246]
    image = ((np.float32(cut) - 128) / 64).transpose(2, 0, 1)[None]
    direct, found = run(path, image), explained(cut)
    np.testing.assert_array_equal(found.saliency_map, direct["saliency_map"])
    np.testing.assert_allclose(found.feature_vector, direct["feature_vector"], rtol=1e-6)
    sure = direct["boxes"][0][direct["boxes"][0, :, 4] > 0.35]
    np.testing.assert_array_equal(found.bboxes, sure[:, :4].round().astype(int))
    np.testing.assert_allclose(found.scores, sure[:, 4], rtol=1e-6)
    np.testing.assert_array_equal(found.labels, direct["labels"][0][: len(sure)])


def test_detection_output_has_to_be_the_only_one(tmp_path):
    """A limit of the wrapper, whoever adds the map; `boxes` and `labels` in its place are read."""
    original = exported("det_ssd_output", tmp_path)
    path = xai_insert.insert(original).write(tmp_path / "explained.xml")
    assert type(wrapped(original, "Model")) is model_api.SSD
    with pytest.raises(ValueError, match="Unsupported model outputs"):
        wrapped(path, "Model")
