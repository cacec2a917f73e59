"""Models that run several inferences at once, as servers do.

The CPU plugin compiles a graph for each stream. Constants that it has to compute first are shared between them, and
another stream may read one half done: a branch must not add such a constant.
"""

from __future__ import annotations

import numpy as np
import openvino as ov
import pytest
import xai_insert
from conftest import MOBILENET, ROOT, noise, run


def computed_constants(model: ov.Model) -> set[str]:
    """Weights that are still converted in the graph that runs."""
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    nodes = compiled.get_runtime_model().get_ordered_ops()
    kinds = {node.get_friendly_name(): node.get_rt_info()["layerType"].astype(str) for node in nodes}
    converts = [node for node in nodes if kinds[node.get_friendly_name()] == "Convert"]
    return {
        node.get_friendly_name()
        for node in converts
        if kinds[node.input_value(0).get_node().get_friendly_name()] == "Const"
    }


def test_no_weight_is_converted_for_the_branch():
    checked = 0
    for path in [MOBILENET, *sorted((ROOT / "fixtures/small").glob("*.xml"))]:
        try:
            inserted = xai_insert.insert(path)
        except xai_insert.RefusedError:
            continue
        if inserted is None or path.stem == "unknown_op":
            # The latter has an operator that no runtime knows.
            continue
        original = ov.Core().read_model(path)
        assert computed_constants(inserted.model()) <= computed_constants(original), path.stem
        checked += 1
    assert checked > 60


def test_the_check_sees_what_it_is_for():
    """A second reader of half-precision weights keeps their Convert."""
    model = ov.Core().read_model(MOBILENET)
    weight = next(node for node in model.get_ops() if node.get_type_name() == "MatMul").input_value(1)
    assert weight.get_node().get_type_name() == "Convert"
    other = ov.opset13.reshape(weight, np.array([1000, 1280, 1, 1]), False)
    model.add_results([ov.opset13.result(other)])
    assert computed_constants(model) - computed_constants(ov.Core().read_model(MOBILENET))


@pytest.mark.parametrize("saliency_type", ["u8", "f32"])
def test_streams_agree(saliency_type):
    insertion = xai_insert.insert(MOBILENET, saliency_type=saliency_type)
    image = noise(1, 3, 224, 224)
    expected = run(insertion.model(), image)
    config = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "4"}
    for _ in range(8):
        compiled = ov.Core().compile_model(insertion.model(), "CPU", config)
        requests = [compiled.create_infer_request() for _ in range(4)]
        for request in requests:
            request.start_async({0: image})
        for request in requests:
            request.wait()
            for name, value in expected.items():
                found = request.get_tensor(name).data
                np.testing.assert_allclose(found.astype(float), value, atol=1 if "saliency" in name else 1e-3)
