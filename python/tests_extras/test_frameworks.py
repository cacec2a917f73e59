"""PyTorch, timm and NNCF: what people export from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nncf
import numpy as np
import openvino as ov
import pytest
import timm
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


# Runs a script and spoils its result before verification: weights of the model, or the 255 that
# maps are scaled by.
SPOILED = """
import runpy, struct, sys, xai_insert
from pathlib import Path
what, *sys.argv = sys.argv[1:]
write = xai_insert.insert_xai
def spoil(path, **options):
    report = write(path, **options)
    weights = Path(options["output_file"]).with_suffix(".bin")
    content = weights.read_bytes()
    size = Path(path).with_suffix(".bin").stat().st_size
    original, branch = content[:size], content[size:]
    if what == "structure":
        original = bytes(64) + original[64:]
    else:
        assert branch.count(struct.pack("<f", 255)) == 1
        branch = branch.replace(struct.pack("<f", 255), struct.pack("<f", 200))
    weights.write_bytes(original + branch)
    return report
xai_insert.insert_xai = spoil
sys.path.insert(0, str(Path(sys.argv[0]).parent))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("what", ["structure", "saliency"])
@pytest.mark.parametrize("options", [[], ["--int8", "--calibration-size", 4]], ids=["fp32", "int8"])
def test_the_export_script_fails_where_verification_does(tmp_path, what, options):
    script = ROOT / "scripts/export_timm.py"
    given = [SPOILED, what, script, "test_resnet", "--random-weights", "--out", tmp_path, *options]
    command = [sys.executable, "-c", *map(str, given)]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert found.returncode == 1, found.stderr
    failed = {line.split()[0] for line in found.stdout.splitlines() if line[12:].startswith("FAILED")}
    # Maps of other weights are others as well.
    assert what in failed and (what == "structure" or failed == {"saliency"})
    assert "with saliency maps" not in found.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no_such_model"], "no_such_model"),
        (["test_resnet", "--int8", "--calibration", "."], "no JPEG or PNG"),
        (["test_resnet", "--image", "missing.png"], "missing.png"),
    ],
)
def test_the_export_script_says_what_it_could_not_do(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    found = export(*arguments)
    assert found.returncode == 2, found.stderr
    last = found.stderr.splitlines()[-1]
    assert last.startswith(f"{arguments[0]}: ") and words in last
    assert "Traceback" not in found.stderr


def test_an_onnx_export_has_the_maps_of_the_pytorch_model(tmp_path):
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", exportable=True).eval()
    image = torch.randn(1, 3, 96, 160)
    path = tmp_path / "model.onnx"
    torch.onnx.export(model, (image,), path, input_names=["image"], output_names=["logits"], dynamo=True)
    maps = []
    for source, options in ((model, {"example_input": image, "input": [1, 3, 96, 160]}), (path, {})):
        explained = xai_insert.insert_xai(source, embed_scaling=False, **options)
        compiled = ov.Core().compile_model(explained, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        maps.append(compiled(image.numpy())["saliency_map"])
    assert maps[0].shape == maps[1].shape == (1, 1000, 3, 5)
    np.testing.assert_allclose(maps[1], maps[0], atol=1e-4 * np.abs(maps[0]).max())


def fake_quantized(model):
    """Operations of the branch that read a FakeQuantize, and how many others do."""
    readers = [
        target.get_node().get_friendly_name()
        for op in model.get_ops()
        if op.get_type_name() == "FakeQuantize"
        for target in op.output(0).get_target_inputs()
    ]
    branch = [name for name in readers if name.startswith("xai/")]
    return branch, len(readers) - len(branch)


def test_both_orders_of_quantization_in_memory():
    torch.manual_seed(0)
    image = torch.randn(1, 3, 16, 24)
    model = ov.convert_model(Classifier().eval(), example_input=image, input=[1, 3, 16, 24])
    images = nncf.Dataset([shift + image.numpy() for shift in (-0.5, 0.0, 0.5)])
    explained = xai_insert.insert_xai(model)

    # INT8 first: the branch is made of what the quantized head does, and exact in that sense.
    insertion = xai_insert.insert(nncf.quantize(model, images))
    insertion.verify(samples=1).raise_unless_passed()
    assert all(fake_quantized(insertion.model()))
    # The branch first, left out of quantization: nothing that it computes is rounded.
    left_out = nncf.IgnoredScope(patterns=["xai/.*"])
    kept = nncf.quantize(explained, images, ignored_scope=left_out)
    branch, others = fake_quantized(kept)
    assert not branch and others

    expected, after, before = (
        ov.Core().compile_model(each, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(image.numpy())[1][0]
        for each in (explained, insertion.model(), kept)
    )
    assert expected.shape == (5, 8, 12)
    # A position is 1/96 of the mean, and the quantized head rounds it to the steps of the mean.
    for maps, least in ((after, 0.98), (before, 0.999)):
        for one, other in zip(maps, expected):
            assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > least


def test_maps_survive_quantization():
    """Both orders; the script fails where maps of a branch in float lose the FP32 maps."""
    command = [sys.executable, str(ROOT / "scripts/int8_drift"), "--check"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert found.returncode == 0, found.stdout + found.stderr
    rows = [line for line in found.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == 9
