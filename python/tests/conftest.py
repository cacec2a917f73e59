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
