"""What the tests share."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

ROOT = Path(__file__).resolve().parents[2]
MOBILENET = ROOT / "fixtures/mobilenet_v2/mobilenet_v2.xml"
PHOTO = ROOT / "fixtures/mobilenet_v2/chelsea.png"


def small(name: str) -> Path:
    """A fixture of `fixtures/small`."""
    return ROOT / f"fixtures/small/{name}.xml"


def command(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs a command that the package installed."""
    path = Path(sysconfig.get_path("scripts"), name)
    return subprocess.run(
        [path, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120
    )


def python(code: str, *arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs code in an interpreter of its own."""
    given = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(given, capture_output=True, text=True, check=False, timeout=120, **options)


def run(model: ov.Model | Path, *inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs of a model, by name; in single precision, so that machines with bf16 units agree."""
    config = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = ov.Core().compile_model(model, "CPU", config)
    found = compiled(list(inputs))
    return {output.any_name: found[output].copy() for output in compiled.outputs}


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def onnx_model(path: Path) -> Path:
    """Writes a classifier of images `[1,3,17,25]` with a linear head as an ONNX file."""
    import onnx
    from onnx import TensorProto, helper

    kernel = noise(4, 3, 3, 3)
    classifier = noise(4, 5)
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "kernel"], ["map"], strides=[2, 2]),
            helper.make_node("Relu", ["map"], ["active"]),
            helper.make_node("GlobalAveragePool", ["active"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["vector"]),
            helper.make_node("MatMul", ["vector", "classifier"], ["scores"]),
        ],
        "classifier",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 17, 25])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 5])],
        [onnx.numpy_helper.from_array(kernel, "kernel"), onnx.numpy_helper.from_array(classifier, "classifier")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def same_tables(one, other) -> bool:
    """Whether two tables of datasets agree; the runtime may sum in another order each time that it compiles."""
    first, second = one.to_pylist(), other.to_pylist()
    assert len(first) == len(second)
    for row, twin in zip(first, second, strict=True):
        for name in ("photo", "class", "label", "height", "width", "error", "corners"):
            assert row[name] == twin[name], (name, row, twin)
        if row["error"] is None:
            assert row["score"] == pytest.approx(twin["score"], abs=1e-5)
            np.testing.assert_allclose(row["map"], twin["map"], atol=0.01)
    return True


@pytest.fixture(autouse=True)
def no_litter(tmp_path_factory, monkeypatch):
    """Temporary files of the package go to a folder that has to be empty afterwards."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert not list(folder.iterdir())
