"""Explanations: the same as the command's, and what Python adds to it."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import threading
import time

import numpy as np
import openvino as ov
import pytest
import xai_insert
from conftest import MOBILENET, PHOTO, command, run, small
from PIL import Image


@pytest.fixture(scope="module")
def explainer():
    return xai_insert.Explainer(MOBILENET, targets="top2")


def test_an_array_is_what_the_file_is(explainer):
    photo = np.asarray(Image.open(PHOTO).convert("RGB"))
    from_file, from_array = explainer(PHOTO), explainer(photo, name="chelsea")
    assert from_file.targets[0].label == "Egyptian cat" and from_file.targets[0].class_id == 285
    assert [target.label for target in from_array.targets] == [target.label for target in from_file.targets]
    assert (from_file.photo, from_array.photo) == (str(PHOTO), "chelsea")
    for one, other in zip(from_file.targets, from_array.targets, strict=True):
        assert np.array_equal(one.map, other.map)
    best = from_file.targets[0]
    assert (best.map.dtype, best.map.shape) == (np.float32, (7, 7))
    assert best.photo_map.shape == photo.shape[:2]
    assert list(from_file.maps) == [target.class_id for target in from_file.targets]


def test_maps_are_those_of_the_inserted_model(explainer):
    """The photo prepared by hand, and the model run by OpenVINO itself."""
    square = np.asarray(Image.open(PHOTO).convert("RGB"))[38:262, 100:324]
    pixels = (square - np.float32([123.675, 116.28, 103.53])) / np.float32([58.395, 57.12, 57.375])
    model = xai_insert.insert_xai(MOBILENET, saliency_type="f32")
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    maps = compiled(pixels.transpose(2, 0, 1)[None])["saliency_map"][0]
    for target in explainer(square).targets:
        np.testing.assert_allclose(target.map, maps[target.class_id], atol=0.1)


def test_scores_are_those_of_the_command(explainer):
    found = command("xai-explain", MOBILENET, PHOTO, "--targets", "top2", "--json")
    assert found.returncode == 0, found.stderr
    settings, photo = map(json.loads, found.stdout.splitlines())
    ours = explainer(PHOTO)
    assert [(t["class"], t["label"]) for t in photo["targets"]] == [(t.class_id, t.label) for t in ours.targets]
    assert photo["targets"][0]["score"] == pytest.approx(ours.targets[0].score, abs=1e-5)
    assert [(best["class"], best["label"]) for best in ours.best] == [
        (best["class"], best["label"]) for best in photo["best"]
    ]
    assert settings["settings"]["method"] == explainer.settings["method"] == "ReciproCAM"


def test_pictures(explainer, tmp_path):
    explanation = explainer(PHOTO)
    target = explanation.targets[0]
    photo = np.asarray(Image.open(PHOTO).convert("RGB"))
    assert np.array_equal(target.overlay(0.0), photo)
    heat = target.heatmap()
    half = target.overlay(0.5)
    assert np.abs(half - (photo.astype(float) + heat) / 2).max() <= 1
    assert not np.array_equal(target.overlay(0.5, caption=True), half)
    assert not np.array_equal(target.heatmap(colours="jet"), heat)
    shown = Image.open(io.BytesIO(explanation._repr_png_()))
    assert np.array_equal(np.asarray(shown), target.overlay(caption=True))
    assert target._repr_png_() == explanation._repr_png_()
    paths = explanation.save(tmp_path, prefix="v1.2 cat", caption=False)
    assert paths[0] == tmp_path / "v1.2_cat_Egyptian_cat_overlay.png" and len(paths) == 2
    assert np.array_equal(np.asarray(Image.open(paths[0])), half)
    with pytest.raises(xai_insert.UsageError, match="exists"):
        explanation.save(tmp_path, prefix="v1.2 cat")
    explanation.save(tmp_path, prefix="v1.2 cat", overwrite=True)


def test_models_in_memory():
    model = ov.Core().read_model(MOBILENET)
    explanation = xai_insert.explain(model, PHOTO, targets=[281, "Egyptian cat"])
    assert [target.class_id for target in explanation.targets] == [281, 285]
    assert repr(explanation).startswith(f"<Explanation of {PHOTO}: ")


MEAN, SCALE = np.float32([123.675, 116.28, 103.53]), np.float32([58.395, 57.12, 57.375])


def prepare(pixels):
    """What the model wants, done by hand."""
    resized = Image.fromarray(pixels).resize((224, 224), Image.Resampling.BILINEAR)
    return ((np.asarray(resized, np.float32) - MEAN) / SCALE).transpose(2, 0, 1)[None]


def test_targets_and_labels_of_one_call(explainer):
    assert list(explainer(PHOTO, targets=281).maps) == [281]
    assert list(explainer(PHOTO, targets=["tabby", 282]).maps) == [281, 282]
    everything = explainer(PHOTO, targets=-1)
    assert list(everything.maps) == list(range(1000))
    assert len({target.label for target in everything.targets}) > 990
    names = [f"n{index}" for index in range(1000)]
    assert explainer(PHOTO, targets="n285", labels=names).targets[0].class_id == 285
    # What the explainer was made with is as it was.
    assert [target.label for target in explainer(PHOTO).targets] == ["Egyptian cat", "tiger cat"]
    # An index is an index, whatever classes are called.
    assert explainer(PHOTO, targets=10, labels=sorted(map(str, range(1000)))).targets[0].class_id == 10
    for wrong in (1.7, True, -2, [], [None], 1000, "top0"):
        with pytest.raises(xai_insert.UsageError):
            explainer(PHOTO, targets=wrong)
    with pytest.raises(xai_insert.UsageError, match="did you mean 'tabby'"):
        explainer(PHOTO, targets="tabbi")
    with pytest.raises(xai_insert.UsageError, match="3"):
        explainer(PHOTO, labels=["a", "b", "c"])


def test_prepared_images(explainer):
    """A tensor, and a function that makes one, give what OpenVINO gives for that tensor."""
    photo = np.asarray(Image.open(PHOTO).convert("RGB"))
    tensor = prepare(photo)
    direct = run(xai_insert.insert_xai(MOBILENET, saliency_type="f32"), tensor)
    best = int(direct["logits"].argmax())
    by_function = xai_insert.Explainer(MOBILENET, preprocess_fn=prepare)
    assert "function" in str(by_function)
    for explanation in (
        explainer(tensor, original_input_image=photo),
        by_function(photo),
        by_function(PHOTO),
        by_function.each([PHOTO])[0],
    ):
        target = explanation.targets[0]
        assert target.class_id == best
        np.testing.assert_allclose(target.map, direct["saliency_map"][0, best], atol=0.1)
        assert target.overlay().shape == photo.shape
    # Without the photo, pictures show the tensor.
    shown = explainer(tensor).targets[0].overlay(0.0)
    small = np.asarray(Image.fromarray(photo).resize((224, 224), Image.Resampling.BILINEAR))
    assert shown.shape == small.shape and np.corrcoef(shown.ravel(), small.ravel())[0, 1] > 0.95
    for wrong in (tensor[:, :, 1:], np.repeat(tensor, 2, 0), tensor.transpose(0, 2, 3, 1)):
        with pytest.raises(xai_insert.UsageError, match=r"the model takes \[1, 3, 224, 224\]"):
            explainer(wrong)
    with pytest.raises(xai_insert.UsageError, match="original_input_image"):
        explainer(photo, original_input_image=photo)
    with pytest.raises(ZeroDivisionError):
        xai_insert.Explainer(MOBILENET, preprocess_fn=lambda pixels: 1 / 0)(photo)


def test_scores_of_a_function():
    """A softmax in Python is the softmax that is applied otherwise, also as a black box."""
    seen = []

    def softmax(outputs):
        seen.append(list(outputs))
        assert outputs["logits"] is not None and np.array_equal(outputs[0], outputs["logits"])
        raised = np.exp(outputs[0] - outputs[0].max())
        return raised / raised.sum()

    for options in ({}, {"method": "rise", "masks": 60}, {"method": "aise", "iterations": 3}):
        ours = xai_insert.Explainer(MOBILENET, **options)(PHOTO).targets[0]
        theirs = xai_insert.Explainer(MOBILENET, postprocess_fn=softmax, **options)(PHOTO).targets[0]
        assert theirs.label == ours.label == "Egyptian cat"
        assert theirs.score == pytest.approx(ours.score, abs=1e-5)
        if options.get("method") == "aise":
            # A search may turn on the last digit; what it finds is alike.
            assert np.corrcoef(theirs.map.ravel(), ours.map.ravel())[0, 1] > 0.99
        else:
            np.testing.assert_allclose(theirs.map, ours.map, rtol=1e-3, atol=1e-3)
    assert ["logits", "saliency_map"] in seen and ["logits"] in seen


def test_what_a_function_raises_arrives():
    class Mine(Exception):
        pass

    def fail(outputs):
        raise Mine("no")

    for mode in ("white-box", "black-box"):
        explainer = xai_insert.Explainer(MOBILENET, postprocess_fn=fail, mode=mode)
        with pytest.raises(Mine, match="no"):
            explainer(PHOTO)
    wrong = xai_insert.Explainer(MOBILENET, postprocess_fn=lambda outputs: np.zeros((2, 3)))
    with pytest.raises(xai_insert.UsageError, match=r"postprocess_fn has to return .*\[2, 3\]"):
        wrong(PHOTO)
    unknown = xai_insert.Explainer(MOBILENET, postprocess_fn=lambda outputs: outputs["probabilities"])
    with pytest.raises(KeyError, match="the outputs are 'logits'"):
        unknown(PHOTO)
    # The next call knows nothing of it, and a function cannot wait for itself.
    calls = []

    def once(outputs):
        calls.append(outputs)
        if len(calls) == 1:
            raise Mine("once")
        if len(calls) == 2:
            with pytest.raises(xai_insert.UsageError, match="that calls it"):
                explainer(PHOTO)
        return outputs["logits"]

    def later(outputs):
        return once(outputs) if ready else outputs["logits"]

    ready = False
    explainer = xai_insert.Explainer(MOBILENET, postprocess_fn=later)
    ready = True
    with pytest.raises(Mine, match="once"):
        explainer(PHOTO)
    assert explainer(PHOTO).targets[0].class_id == 285 and len(calls) == 2


def test_a_branch_explains_no_other_scores():
    """A similarity of what a model computes is none of its classes."""
    reference = np.random.default_rng(0).random(5).astype(np.float32)

    def similarity(outputs):
        return outputs[0] @ reference

    model = small("cnn_static")
    with pytest.raises(xai_insert.UsageError, match=r"orders classes otherwise than 'logits'.*`mode='black-box'`"):
        xai_insert.Explainer(model, postprocess_fn=similarity, mode="white-box")
    explainer = xai_insert.Explainer(model, postprocess_fn=similarity, iterations=4)
    assert explainer.settings["mode"] == "black-box"
    assert "orders classes otherwise than 'logits', which ReciproCAM explains" in explainer.settings["notes"][-1]
    (target,) = explainer(PHOTO, targets=[0]).targets
    assert np.ptp(target.map) > 0
    # A map for no class goes with any scores.
    everything = xai_insert.Explainer(model, postprocess_fn=similarity, method="activationmap")
    assert everything.settings["mode"] == "white-box"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "HSV", "YCbCr", "1", "LA", "I", "F", "I;16"])
def test_pillow_images_of_every_mode(explainer, mode):
    image = Image.open(PHOTO).convert("RGB")
    if mode == "I;16":
        grey = np.asarray(image.convert("L"))
        ours = explainer(Image.fromarray(grey.astype(np.uint16) * 257))
        theirs = explainer(grey)
    else:
        ours = explainer(image.convert(mode))
        theirs = explainer(np.asarray(image.convert(mode).convert("RGB")))
    assert ours.targets[0].label == theirs.targets[0].label
    np.testing.assert_allclose(ours.targets[0].map, theirs.targets[0].map, atol=2)


def test_a_pillow_image_is_turned_as_its_exif_says(explainer, tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    path = tmp_path / "turned.jpg"
    Image.open(PHOTO).convert("RGB").rotate(90, expand=True).save(path, exif=exif, quality=95)
    from_path, from_pillow = explainer(path), explainer(Image.open(path))
    assert from_path.targets[0].label == from_pillow.targets[0].label == "Egyptian cat"
    assert from_pillow.targets[0].photo_map.shape == (300, 451)
    np.testing.assert_allclose(from_path.targets[0].map, from_pillow.targets[0].map, atol=4)
    lab = Image.new("LAB", (8, 8))
    if lab.mode == "LAB":
        try:
            lab.convert("RGB")
        except ValueError:
            with pytest.raises(xai_insert.UsageError, match="mode LAB"):
                explainer(lab)


class Tensor:
    """What of PyTorch's tensors matters here: NumPy is refused them while they take part in gradients, or in bf16."""

    def __init__(self, values, *, gradients=False, device=True, bf16=False):
        self.values, self.gradients, self.device, self.bf16 = values, gradients, device, bf16

    def __array__(self, *_, **__):
        return self.numpy()

    def numpy(self):
        if self.gradients or self.device or self.bf16:
            raise RuntimeError if self.gradients else TypeError
        return self.values

    def detach(self):
        return Tensor(self.values, device=self.device, bf16=self.bf16)

    def cpu(self):
        return Tensor(self.values, gradients=self.gradients, device=False, bf16=self.bf16)

    def float(self):
        return Tensor(self.values, gradients=self.gradients, device=self.device)


def test_tensors_with_gradients_or_in_bf16(explainer):
    values = prepare(np.asarray(Image.open(PHOTO).convert("RGB")))
    plain = explainer(values)
    for state in ({"gradients": True}, {"bf16": True}, {"gradients": True, "bf16": True}):
        found = explainer(Tensor(values, **state))
        assert np.array_equal(found.targets[0].map, plain.targets[0].map), state


def test_names_of_openvino_xai():
    theirs = xai_insert.Explainer(
        MOBILENET,
        xai_insert.Task.CLASSIFICATION,
        explain_mode=xai_insert.ExplainMode.WHITEBOX,
        explain_method=xai_insert.Method.RECIPROCAM,
        embed_scaling=True,
        device_name="CPU",
    )
    assert repr(theirs) == "<Explainer ReciproCAM, white-box>"
    black = xai_insert.Explainer(MOBILENET, explain_mode="blackbox", explain_method="rise", num_masks=8)
    assert repr(black) == "<Explainer RISE, black-box>"
    with pytest.raises(TypeError, match="'num_masks' and 'masks' are the same option"):
        xai_insert.Explainer(MOBILENET, masks=3, num_masks=4)


def test_ctrl_c_stops_long_work():
    """The interpreter goes on while photos are explained, and a signal ends the work."""
    explainer = xai_insert.Explainer(MOBILENET, method="rise", masks=1_000_000)
    went_on = []

    def interrupt():
        for _ in range(20):
            time.sleep(0.05)
            went_on.append(True)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        explainer(PHOTO)
    thread.join()
    assert len(went_on) == 20 and time.monotonic() - started < 20
    # It can be used again.
    with pytest.raises(xai_insert.FileError):
        explainer("nowhere.png")


def test_black_box_is_repeatable():
    rise = xai_insert.Explainer(MOBILENET, method="rise", masks=40, seed=3)
    assert repr(rise) == "<Explainer RISE, black-box>" and "seed 3" in str(rise)
    assert np.array_equal(rise(PHOTO).targets[0].map, rise(PHOTO).targets[0].map)


def test_one_bad_image_does_not_spoil_the_others(explainer, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    found = explainer.each([PHOTO, bad, tmp_path / "nowhere.png", PHOTO])
    assert isinstance(found[1], xai_insert.UsageError) and "bad.png" in str(found[1])
    assert isinstance(found[2], xai_insert.FileError)
    assert np.array_equal(found[0].targets[0].map, found[3].targets[0].map)


def test_wrong_requests(explainer):
    with pytest.raises(xai_insert.UsageError, match="float32"):
        explainer(np.zeros((8, 8, 3), np.float32))
    with pytest.raises(xai_insert.UsageError, match="no image"):
        explainer(np.zeros((8, 8, 2), np.uint8))
    for wrong in (np.full((1, 3, 224, 224), np.nan), np.full((1, 3, 224, 224), "a")):
        with pytest.raises(xai_insert.UsageError, match="prepared image"):
            explainer(wrong)
    with pytest.raises(xai_insert.UsageError, match="1 names for 2 images"):
        explainer.each([PHOTO, PHOTO], names=["one"])
    for wrong in ({"input_size": 224}, {"labels": 5}, {"num_anchors": 1.5}, {"mean": "a,b"}):
        with pytest.raises(xai_insert.UsageError):
            xai_insert.Explainer(MOBILENET, **wrong)
    with pytest.raises(xai_insert.UsageError, match="effort"):
        xai_insert.Explainer(MOBILENET, effort="lots")
    with pytest.raises(TypeError, match="no_such"):
        xai_insert.Explainer(MOBILENET, no_such=1)
    with pytest.raises(xai_insert.RefusedError):
        xai_insert.Explainer(small("mlp_only"), mode="white-box")


def test_ctrl_c_stops_waiting_for_another_thread():
    explainer = xai_insert.Explainer(MOBILENET, method="rise", masks=1500)
    busy = threading.Thread(target=lambda: explainer(PHOTO))
    busy.start()
    time.sleep(0.3)
    started = time.monotonic()
    assert explainer.settings["method"] == "RISE"
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        explainer(PHOTO)
    assert time.monotonic() - started < 2 and busy.is_alive()
    busy.join()


def test_detectors_without_boxes_choose_by_their_best_scores():
    nothing = xai_insert.explain(small("det_yolox"), PHOTO)
    assert nothing.targets == [] and re.match(r"no object with a score of 0\.5 or more; the best: class \d 0\.4", nothing.note)
    every = xai_insert.explain(small("det_yolox"), PHOTO, targets=-1)
    assert [target.class_id for target in every.targets] == list(range(5))
    counting = xai_insert.explain(small("det_yolox"), PHOTO, threshold=0.4).targets
    likeliest = sorted(every.targets, key=lambda target: -target.score)
    assert [target.class_id for target in counting] == [t.class_id for t in likeliest if t.score >= 0.4] != []
    assert xai_insert.explain(small("det_yolox"), PHOTO, targets=3).targets[0].map.std() > 0
