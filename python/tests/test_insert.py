"""Insertion: the same as the command's, and what Python adds to it."""

from __future__ import annotations

import enum
import json
import pickle
import re

import numpy as np
import openvino as ov
import pytest
import xai_insert
from conftest import MOBILENET, command, noise, onnx_model, run, small


@pytest.fixture
def model():
    return ov.Core().read_model(small("cnn_static"))


def test_files_are_those_of_the_command(tmp_path):
    report = xai_insert.insert_xai(small("cnn_static"), output_file=tmp_path / "python.xml")
    found = command("xai-insert", small("cnn_static"), "-o", tmp_path / "command.xml", "--json")
    assert found.returncode == 0, found.stderr
    for suffix in (".xml", ".bin"):
        python, other = ((tmp_path / name).with_suffix(suffix) for name in ("python", "command"))
        assert python.read_bytes() == other.read_bytes()
    expected = json.loads(found.stdout)
    assert report.to_dict() == {key: expected[key] for key in report.to_dict()}
    assert str(report) in command("xai-insert", small("cnn_static"), "--dry-run").stdout


def test_a_model_gives_a_model(model):
    image = noise(1, 3, 32, 48)
    before = run(model, image)
    explained = xai_insert.insert_xai(model)
    assert [output.any_name for output in model.outputs] == ["logits"]
    assert [output.any_name for output in explained.outputs] == ["logits", "saliency_map"]
    found = run(explained, image)
    assert np.array_equal(found["logits"], before["logits"])
    # The same through files.
    assert np.array_equal(found["saliency_map"], run(xai_insert.insert_xai(small("cnn_static")), image)["saliency_map"])
    assert len(np.unique(found["saliency_map"])) > 10


def test_maps_are_those_of_the_definition(model):
    """Not by `verify`, which is the same Rust: the head is cut out here, and run on masked features."""
    image = noise(1, 3, 32, 48)
    report = xai_insert.insert(model).report
    explained = xai_insert.insert_xai(model, embed_scaling=False)
    target = next(node for node in explained.get_ops() if node.friendly_name == report.target)
    features = run(ov.Model([target.output(0)], explained.get_parameters()), image).popitem()[1]
    logits = next(node for node in explained.get_results() if node.output(0).any_name == "logits")
    entry = ov.opset8.parameter(list(features.shape), np.float32)
    for consumer in list(target.output(0).get_target_inputs()):
        consumer.replace_source_output(entry.output(0))
    head = ov.Core().compile_model(ov.Model([logits], [entry]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    _, _, height, width = features.shape
    expected = np.empty((head.output(0).shape[1], height, width), np.float32)
    for row in range(height):
        for column in range(width):
            masked = np.zeros_like(features)
            masked[:, :, row, column] = features[:, :, row, column]
            expected[:, row, column] = head(masked)[0][0]
    found = run(xai_insert.insert_xai(model, embed_scaling=False), image)["saliency_map"][0]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


class PeersMethod(enum.Enum):
    """An enumeration that is not ours, as `openvino_xai` has one."""

    ACTIVATIONMAP = "activationmap"


@pytest.mark.parametrize(
    "method", [xai_insert.Method.ACTIVATIONMAP, PeersMethod.ACTIVATIONMAP, "activationmap", "ActivationMap"]
)
def test_keywords_that_users_of_openvino_xai_know(model, method):
    explained = xai_insert.insert_xai(
        model,
        task=xai_insert.Task.CLASSIFICATION,
        explain_method=method,
        target_layer=xai_insert.insert(model).report.target,
        embed_scaling=False,
    )
    output = explained.output("saliency_map")
    assert (output.element_type, len(output.shape)) == (ov.Type.f32, 3)


def test_options_of_the_command(model):
    explained = xai_insert.insert_xai(
        model, targets=[1, 3], saliency_type="f32", output_name="where", feature_vector=True, lowering="dense"
    )
    shapes = {output.any_name: list(output.shape) for output in explained.outputs}
    assert shapes["where"][:2] == [1, 2] and len(shapes["feature_vector"]) == 2
    report = xai_insert.insert(model, targets="top2", lowering="dense").report
    assert (report.targets, report.lowering) == ("top2", "Dense")
    # A budget that is too small is refused with the operation that needs more.
    with pytest.raises(xai_insert.RefusedError, match="budget"):
        xai_insert.insert(model, lowering="dense", memory_budget=1)
    options = {"block": 1, "mask": "single", "class_token": False}
    masks = xai_insert.insert(small("timm_test_vit"), **options).report.data["mask"]
    assert masks == {"kernel": "single", "class_token": False, "block": 1}


def test_a_map_that_is_there_stays(model, tmp_path):
    explained = xai_insert.insert_xai(model)
    assert xai_insert.insert_xai(explained) is explained
    assert xai_insert.insert(explained) is None
    path = xai_insert.insert(model).write(tmp_path / "explained.xml")
    assert xai_insert.insert_xai(path, output_file=tmp_path / "again.xml") is None
    assert [output.any_name for output in xai_insert.insert_xai(path).outputs] == ["logits", "saliency_map"]
    assert not (tmp_path / "again.xml").exists()


def test_files_are_not_replaced_unasked(model, tmp_path):
    path = xai_insert.insert(model).write(tmp_path / "explained.xml")
    with pytest.raises(xai_insert.UsageError, match="overwrite"):
        xai_insert.insert(model).write(path)
    xai_insert.insert(model, targets="top1").write(path, overwrite=True)
    assert list(ov.Core().read_model(path).output("saliency_map").shape)[:2] == [1, 1]
    with pytest.raises(xai_insert.UsageError, match="is the input"):
        xai_insert.insert(small("cnn_static")).write(small("cnn_static"), overwrite=True)


def test_a_branch_can_be_taken_out(tmp_path):
    path = xai_insert.insert(MOBILENET).write(tmp_path / "explained.xml")
    xai_insert.remove_xai(path, tmp_path / "restored.xml")
    for suffix in (".xml", ".bin"):
        assert (tmp_path / "restored").with_suffix(suffix).read_bytes() == MOBILENET.with_suffix(suffix).read_bytes()


def test_weights_elsewhere(tmp_path):
    xml = tmp_path / "model.xml"
    xml.write_bytes(small("cnn_static").read_bytes())
    weights = small("cnn_static").with_suffix(".bin")
    with pytest.raises(xai_insert.FileError, match="model.bin"):
        xai_insert.insert(xml)
    assert xai_insert.insert(xml, weights=weights).verify(samples=1)


def test_an_onnx_model_is_converted(tmp_path):
    path = onnx_model(tmp_path / "model.onnx")
    explained = xai_insert.insert_xai(path, embed_scaling=False)
    maps = run(explained, noise(1, 3, 17, 25))["saliency_map"]
    assert maps.shape == (1, 5, 8, 12)
    # The head is linear: the scores are the sums of the maps.
    scores = run(explained, noise(1, 3, 17, 25))["scores"]
    np.testing.assert_allclose(maps.sum((2, 3)), scores, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_converted_is_named(tmp_path):
    with pytest.raises(xai_insert.OpenVinoError, match="builtins.dict"):
        xai_insert.insert_xai({})
    with pytest.raises(xai_insert.FileError, match="does not exist"):
        xai_insert.insert_xai(tmp_path / "nowhere.onnx")
    with pytest.raises(xai_insert.UsageError, match="is an IR already"):
        xai_insert.insert(small("cnn_static"), example_input=0)


def test_names_of_the_command_line_are_understood(tmp_path):
    model = small("cnn_static")
    report = xai_insert.insert_xai(model, method="activationmap", scaling=False, output_file=tmp_path / "out.xml")
    theirs = xai_insert.insert(model, method="activationmap", scaling=False).report
    assert report.to_dict() == theirs.to_dict() and report.method == "activationmap"
    with pytest.raises(TypeError, match="'explain_method' and 'method' are the same option"):
        xai_insert.insert_xai(model, explain_method="reciprocam", method="activationmap")
    with pytest.raises(TypeError, match="'embed_scaling' and 'scaling' are the same option"):
        xai_insert.insert_xai(model, embed_scaling=False, scaling=True)
    with pytest.raises(TypeError, match="no option 'no_scaling' .did you mean 'scaling'"):
        xai_insert.insert(model, no_scaling=True)
    with pytest.raises(xai_insert.UsageError, match="block: give a number of at least 1"):
        xai_insert.insert(model, block=0)


def test_targets_are_listed():
    rows = xai_insert.list_targets(small("cnn_static"))
    found = json.loads(command("xai-insert", small("cnn_static"), "--list-targets", "--json").stdout)
    assert rows == found["targets"]
    assert [row["taken"] for row in rows].count(True) == 1


@pytest.mark.parametrize(
    ("fixture", "options", "arguments", "error"),
    [
        ("segmentation", {}, [], xai_insert.RefusedError),
        ("mlp_only", {}, [], xai_insert.RefusedError),
        ("cnn_static", {"target_layer": "no such"}, ["--target-layer", "no such"], xai_insert.UsageError),
        ("cnn_static", {"targets": "top999"}, ["--targets", "top999"], xai_insert.UsageError),
        ("cnn_static", {"scaling": False, "saliency_type": "u8"}, ["--no-scaling"], xai_insert.UsageError),
        ("no_such", {}, [], xai_insert.FileError),
    ],
)
def test_errors_are_those_of_the_command_with_keywords_for_flags(fixture, options, arguments, error):
    with pytest.raises(error) as caught:
        xai_insert.insert(small(fixture), **options)
    assert isinstance(caught.value, xai_insert.XaiInsertError)
    found = command("xai-insert", small(fixture), "--dry-run", *arguments)
    assert found.returncode == (1 if error is xai_insert.RefusedError else 2)
    # What can be set is between backquotes.
    words = re.split("`[^`]+`", str(caught.value))
    assert re.search(".+".join(map(re.escape, words)), found.stderr)
    assert "--" not in str(caught.value)


def test_a_refusal_has_its_reasons():
    with pytest.raises(xai_insert.RefusedError) as caught:
        xai_insert.insert_xai(small("segmentation"))
    ((subject, reason),) = caught.value.reasons
    assert "scores" in subject and "has height and width" in reason
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.reasons) == (str(caught.value), caught.value.reasons)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "gradcam"}, r"^method: give auto, reciprocam, .* or classprobabilitymap, not 'gradcam'$"),
        ({"targets": "best"}, "topK"),
        ({"memory_budget": "much"}, "KiB"),
        ({"output_name": ""}, "must not be empty"),
        ({"task": "segmentation"}, "^task: give auto, classification or detection, not 'segmentation'$"),
        ({"saliency_size": 23}, "^saliency_size takes two numbers, not 23$"),
        ({"saliency_size": (0, 8)}, r"^saliency_size: give height and width, .*, not \(0, 8\)$"),
        ({"num_anchors": [3, True], "target_layer": ["a", "b"]}, "^num_anchors: give .*, not True$"),
        ({"num_anchors": 3}, "^`num_anchors` goes with the `target_layer` of a detector"),
        ({"scaling": "maybe"}, "^scaling takes True or False, not 'maybe'$"),
        ({"block": 1, "target_layer": "a"}, "^block and target_layer cannot both be given$"),
    ],
)
def test_wrong_values_are_usage_errors(options, words):
    with pytest.raises(xai_insert.UsageError, match=words):
        xai_insert.insert(small("cnn_static"), **options)
    with pytest.raises(TypeError, match="no_such_option"):
        xai_insert.insert(small("cnn_static"), no_such_option=1)


def test_damaged_models_are_model_errors(tmp_path):
    path = tmp_path / "model.xml"
    path.write_bytes(small("cnn_static").read_bytes()[:5000])
    with pytest.raises(xai_insert.ModelError, match="byte"):
        xai_insert.insert(path)


def test_reports_show_themselves(model):
    insertion = xai_insert.insert(model)
    assert repr(insertion).startswith("<Insertion reciprocam of 'logits' at '")
    assert "saliency_map=u8[1," in repr(insertion.report)
    shown = insertion._repr_html_()
    assert shown.startswith("<pre>task     classification: ") and "\nmethod   ReciproCAM\n" in shown
    assert "saliency_map" in insertion.dump() and insertion.dump("dot").startswith("digraph")
    with pytest.raises(xai_insert.UsageError, match="svg"):
        insertion.dump("svg")


def test_shapes_that_a_file_leaves_open_can_be_said():
    path = small("cnn_dynamic_hw")
    under = xai_insert.insert(path, input_shape=(None, 3, 32, 48))
    assert any("read under image[?,3,32,48]" in note for note in under.report.notes)
    assert under.model().input().partial_shape.is_dynamic
    assert under.verify().outcome == "passed"
    given = xai_insert.insert(path, input_shape={"image": [-1, 3, 32, 48]}, reshape=True)
    assert str(given.model().input().partial_shape) == "[?,3,32,48]"
    assert given.verify().outcome == "passed"
    assert [output.any_name for output in given.model().outputs] == ["logits", "saliency_map"]
    with pytest.raises(xai_insert.UsageError, match="input_shape"):
        xai_insert.insert(path, reshape=True)
    with pytest.raises(xai_insert.UsageError, match="its own is"):
        xai_insert.insert(path, input_shape=(1, 4, 32, 48))
    with pytest.raises(xai_insert.UsageError, match="no input 'photo'"):
        xai_insert.insert(path, input_shape="photo[1,3,32,48]")
