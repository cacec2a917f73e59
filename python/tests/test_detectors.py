"""Detectors: found by themselves, or with their layers named."""

from __future__ import annotations

import pytest
import xai_insert
from conftest import small


def test_heads_are_found(tmp_path):
    out = tmp_path / "out.xml"
    report = xai_insert.insert_xai(small("det_ssd"), saliency_size=(11, 7), output_file=out)
    assert report.method == "classprobabilitymap"
    assert report.outputs == {"saliency_map": "u8[1,5,11,7]"}
    assert "__module.scores.0" in report.target and repr(report)
    heads = xai_insert.list_targets(small("det_ssd"))
    assert [head["anchors"] for head in heads] == [3, 6, 6]
    xai_insert.verify(small("det_ssd"), out, samples=1).raise_unless_passed()


def test_named_layers_take_their_anchors_as_given():
    layers = [head["layer"] for head in xai_insert.list_targets(small("det_ssd"))]
    options = {"target_layer": layers, "num_anchors": [3, 6, 6], "task": "detection"}
    assert xai_insert.insert(small("det_ssd"), **options).report.method == "classprobabilitymap"
    with pytest.raises(xai_insert.UsageError, match="`num_anchors`"):
        xai_insert.insert(small("det_ssd"), **options | {"num_anchors": [3, 6]})
