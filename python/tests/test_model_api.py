"""Clients that read maps by OpenVINO's Model API need no change."""

from __future__ import annotations

import numpy as np
import openvino as ov
import pytest
import xai_insert
from conftest import MOBILENET, PHOTO, run
from PIL import Image

adapters = pytest.importorskip("model_api.adapters")
model_api = pytest.importorskip("model_api.models")

MEAN, SCALE = np.float32([123.675, 116.28, 103.53]), np.float32([58.395, 57.12, 57.375])


def wrapped(path):
    """The model as Model API wraps it, in single precision."""
    config = {"INFERENCE_PRECISION_HINT": "f32"}
    adapter = adapters.OpenvinoAdapter(ov.Core(), str(path), device="CPU", plugin_config=config)
    return model_api.ClassificationModel.create_model(adapter)


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
    small = photo[38:262, 100:324]
    image = ((small - MEAN) / SCALE).transpose(2, 0, 1)[None]
    direct = run(path, image)
    found = explained(small)
    assert np.abs(found.saliency_map.astype(int) - direct["saliency_map"]).max() <= 1
    np.testing.assert_allclose(found.feature_vector, direct["feature_vector"], atol=1e-3)


def test_model_info_survives(tmp_path):
    """Labels and preprocessing come from the original's `model_info`, in memory and in files."""
    original = ov.Core().read_model(MOBILENET)
    explained = xai_insert.insert_xai(original)
    for key in ("labels", "mean_values", "scale_values", "model_type"):
        path = ["model_info", key]
        assert explained.get_rt_info(path).astype(str) == original.get_rt_info(path).astype(str)
