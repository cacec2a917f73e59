#!/usr/bin/env python3
# %% [markdown]
# # Explaining a classifier, step by step
#
# The "deep dive" tutorial of `openvino_xai`, with this package: the same steps in the same order, on the MobileNetV2
# of this repository. Run it as a script, or cell by cell in an editor that knows `# %%`.
#
#     pip install '.[openvino]' pillow
#     python/examples/deep_dive.py [FOLDER]

# %%
import sys
import tempfile
from pathlib import Path

import numpy as np
import openvino as ov
import xai_insert as xai
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "fixtures/mobilenet_v2/mobilenet_v2.xml"
PHOTO = ROOT / "fixtures/mobilenet_v2/chelsea.png"
OUT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())

model = ov.Core().read_model(MODEL)
image = np.asarray(Image.open(PHOTO).convert("RGB"))
EGYPTIAN_CAT = 285


# %% [markdown]
# The image as the model wants it: resized, normalised, with a batch.


# %%
def preprocess_fn(pixels: np.ndarray) -> np.ndarray:
    resized = Image.fromarray(pixels).resize((224, 224), Image.Resampling.BILINEAR)
    normalised = (np.asarray(resized, np.float32) - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]
    return normalised.transpose(2, 0, 1)[None].astype(np.float32)


preprocessed_image = preprocess_fn(image)

# %% [markdown]
# ## Basic usage: auto mode
#
# White box where a branch fits the model, black box where none does. An array of four axes is the model's input.

# %%
explainer = xai.Explainer(model=model, task=xai.Task.CLASSIFICATION)
explanation = explainer(preprocessed_image, targets=EGYPTIAN_CAT)
print(explainer)
print(explanation)
assert explainer.settings["mode"] == "white-box"

# %% [markdown]
# Maps by class, as the method gives them; in colours and over the image, targets draw themselves. In a notebook,
# `explanation` as the last line of a cell shows the picture.

# %%
saliency = explanation.maps[EGYPTIAN_CAT]
overlay = explanation.targets[0].overlay()
print(f"map {saliency.shape}, picture {overlay.shape}")
assert saliency.shape == (7, 7) and overlay.shape == (224, 224, 3)

# %%
print(explanation.save(OUT / "auto"))
assert (OUT / "auto/image_Egyptian_cat_overlay.png").exists()

# %% [markdown]
# All classes, from the same inference:

# %%
explanation = explainer(preprocessed_image, targets=-1)
print(f"{len(explanation.maps)} maps")
assert list(explanation.maps) == list(range(1000))

# %% [markdown]
# Or the image itself, because this model's `model_info` says what to do with it:

# %%
explanation = explainer(PHOTO)
assert explanation.targets[0].class_id == EGYPTIAN_CAT
assert explanation.targets[0].overlay().shape == image.shape

# %% [markdown]
# ## Pre- and postprocess functions
#
# For what `model_info` and options cannot say. `postprocess_fn` gets all outputs, by name or by number, and returns
# scores.


# %%
def postprocess_fn(outputs) -> np.ndarray:
    raised = np.exp(outputs["logits"] - outputs["logits"].max())
    return raised / raised.sum()


explainer = xai.Explainer(
    model=model, task=xai.Task.CLASSIFICATION, preprocess_fn=preprocess_fn, postprocess_fn=postprocess_fn
)
explanation = explainer(image)
print(explanation)
assert explanation.targets[0].class_id == EGYPTIAN_CAT

# %% [markdown]
# ## Visualization
#
# Over the original image instead of the preprocessed one; the heatmap alone; the plain map.

# %%
explainer = xai.Explainer(model=model, task=xai.Task.CLASSIFICATION)
explanation = explainer(preprocessed_image, targets=[EGYPTIAN_CAT], original_input_image=image)
target = explanation.targets[0]
pictures = {
    "overlay": target.overlay(0.6, colours="jet"),
    "heatmap": target.heatmap(),
    "grey": np.uint8(target.map),
}
for name, picture in pictures.items():
    Image.fromarray(picture).save(OUT / f"{name}.png")
    print(name, picture.shape)
assert pictures["overlay"].shape == pictures["heatmap"].shape == image.shape
assert pictures["grey"].max() == 255

# %% [markdown]
# ## White-box explainer

# %%
explainer = xai.Explainer(
    model=model,
    task=xai.Task.CLASSIFICATION,
    preprocess_fn=preprocess_fn,
    explain_mode=xai.ExplainMode.WHITEBOX,
    explain_method=xai.Method.RECIPROCAM,
)
white = explainer(image, targets=EGYPTIAN_CAT).maps[EGYPTIAN_CAT]

# %% [markdown]
# ### Inserting the branch into a pipeline of one's own
#
# The result is an `openvino.Model` like any other: one inference returns scores and maps, and where it runs, this
# package is not needed. `list_targets` shows which layers could be the target, `verify` proves the result.

# %%
targets = xai.list_targets(model)
layer = next(row["layer"] for row in targets if row["taken"])
print(layer)
model_xai = xai.insert_xai(
    model,
    task=xai.Task.CLASSIFICATION,
    explain_method=xai.Method.RECIPROCAM,
    target_layer=layer,
    embed_scaling=True,
)
compiled = ov.Core().compile_model(model_xai, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
outputs = compiled(preprocess_fn(image))
best = int(outputs["logits"].argmax())
saliency_map = outputs["saliency_map"][0, best]
print(best, saliency_map.shape, saliency_map.dtype)
assert best == EGYPTIAN_CAT
assert np.abs(saliency_map - white).max() <= 1

# %%
report = xai.insert(model, target_layer=layer).verify(image=PHOTO)
print(report)
report.raise_unless_passed()

# %% [markdown]
# ## Black-box explainer
#
# RISE hides random parts of the image, AISE looks for the Gaussian windows that matter. `effort` says how many
# inferences are spent (`speed`, `balance`, `quality`); options of a method say it exactly.

# %%
for options in ({"explain_method": xai.Method.RISE, "num_masks": 300}, {"explain_method": xai.Method.AISE}):
    explainer = xai.Explainer(
        model=model,
        task=xai.Task.CLASSIFICATION,
        preprocess_fn=preprocess_fn,
        postprocess_fn=postprocess_fn,
        explain_mode=xai.ExplainMode.BLACKBOX,
        effort="speed",
        **options,
    )
    explanation = explainer(image, targets=EGYPTIAN_CAT)
    print(explainer.settings["method"], explanation.save(OUT / "black-box", prefix=explainer.settings["method"]))
    assert explanation.maps[EGYPTIAN_CAT].std() > 0

# %% [markdown]
# ## Label names
#
# Names of one's own, in place of those in `model_info`: targets are found by them, and files named after them.

# %%
lines = (ROOT / "fixtures/mobilenet_v2/labels.txt").read_text(encoding="utf-8").splitlines()
labels = [line.upper() for line in lines]
explainer = xai.Explainer(
    model=model,
    task=xai.Task.CLASSIFICATION,
    preprocess_fn=preprocess_fn,
    explain_mode=xai.ExplainMode.WHITEBOX,
    label_names=labels,
)
explanation = explainer(image, targets=["EGYPTIAN CAT", "TABBY"])
paths = explanation.save(OUT / "labels", prefix="chelsea")
print(*paths, sep="\n")
assert [path.name for path in paths] == ["chelsea_EGYPTIAN_CAT_overlay.png", "chelsea_TABBY_overlay.png"]
assert all(Image.open(path).size == Image.open(PHOTO).size for path in paths)

# %% [markdown]
# ## ActivationMap
#
# One map for the image, whatever the class.

# %%
explainer = xai.Explainer(
    model=model,
    task=xai.Task.CLASSIFICATION,
    preprocess_fn=preprocess_fn,
    explain_mode=xai.ExplainMode.WHITEBOX,
    explain_method=xai.Method.ACTIVATIONMAP,
)
explanation = explainer(image)
print(explanation)
assert list(explanation.maps) == ["all classes"]
