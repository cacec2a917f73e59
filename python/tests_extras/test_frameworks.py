"""PyTorch, timm and NNCF: what people export from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import torch
import xai_insert
from torch import nn

ROOT = Path(__file__).resolve().parents[2]


class Classifier(nn.Module):
    """A convolution, a mean, a Linear without bias: scores are the sums of their maps."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())
        self.head = nn.Linear(8, 5, bias=False)

    def forward(self, image):
        return self.head(self.features(image).mean((2, 3)))


def test_a_pytorch_model_is_converted():
    torch.manual_seed(0)
    model, image = Classifier().eval(), torch.randn(1, 3, 16, 24)
    explained = xai_insert.insert_xai(model, example_input=image, input=[1, 3, 16, 24], embed_scaling=False)
    compiled = ov.Core().compile_model(explained, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    scores, maps = compiled(image.numpy()).values()
    assert maps.shape == (1, 5, 8, 12)
    np.testing.assert_allclose(scores, model(image).detach().numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(maps.sum((2, 3)), scores, rtol=1e-4, atol=1e-5)


def export(*arguments):
    command = [sys.executable, ROOT / "scripts/export_timm.py", "--random-weights", *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=600)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("test_resnet", []),
        ("test_resnet", ["--int8", "--calibration", ROOT / "fixtures/mobilenet_v2"]),
        ("test_resnet", ["--int8", "--calibration-size", 4, "--batch", 0]),
        ("test_vit", ["--batch", 0]),
    ],
)
def test_the_export_script(tmp_path, name, options):
    found = export(name, "--out", tmp_path, *options)
    assert found.returncode == 0, found.stderr
    assert "saliency    ok" in found.stdout
    assert found.stdout.splitlines()[-1].startswith(f"{tmp_path / name}_xai.xml: ")
    model = ov.Core().read_model(tmp_path / f"{name}_xai.xml")
    assert [output.any_name for output in model.outputs] == ["logits", "saliency_map", "feature_vector"]
    quantized = any(op.get_type_name() == "FakeQuantize" for op in model.get_ops())
    assert quantized == ("--int8" in options)


def test_the_export_script_s_exit_status(tmp_path):
    assert export("no_such_model", "--out", tmp_path).returncode == 2
    broken = """
import runpy, sys, xai_insert
from pathlib import Path
write = xai_insert.insert_xai
def spoil(path, **options):
    report = write(path, **options)
    weights = Path(options["output_file"]).with_suffix(".bin")
    weights.write_bytes(bytes(64) + weights.read_bytes()[64:])
    return report
xai_insert.insert_xai = spoil
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    script = str(ROOT / "scripts/export_timm.py")
    command = [sys.executable, "-c", broken, script, "test_resnet", "--random-weights", "--out", str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert found.returncode == 1, found.stderr
    assert "structure   FAILED" in found.stdout


def test_maps_survive_quantization():
    """Both orders; the script fails where maps of a branch in float lose the FP32 maps."""
    command = [sys.executable, str(ROOT / "scripts/int8_drift"), "--check"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert found.returncode == 0, found.stdout + found.stderr
    rows = [line for line in found.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == 9
