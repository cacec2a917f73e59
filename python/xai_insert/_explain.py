"""Explanations: images in, maps and pictures out."""

from __future__ import annotations

import enum
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from . import _native
from ._images import as_array, as_pixels
from ._models import as_files, openvino_library
from ._options import (
    Method,
    ShapeOptions,
    Task,
    check_names,
    indices,
    method_name,
    plain,
)
from .errors import UsageError, XaiInsertError

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import Unpack

    StrPath = str | os.PathLike[str]
    import PIL.Image

    Image = str | os.PathLike[str] | np.ndarray | PIL.Image.Image
    Targets = str | int | Iterable[str | int]
    Colours = Literal["viridis", "cividis", "turbo", "jet"]


class ExplainMode(str, enum.Enum):
    """Whether a model is looked into."""

    AUTO = "auto"
    WHITEBOX = "white-box"
    BLACKBOX = "black-box"


class _TheirNames(TypedDict, total=False):
    """What `openvino_xai` calls some options."""

    explain_mode: ExplainMode | str | None
    explain_method: Method | str | None
    embed_scaling: bool | None
    device_name: str | None
    label_names: StrPath | Sequence[str] | None
    num_masks: int | None
    num_cells: int | None
    prob: float | None
    num_iterations_per_kernel: int | None


class ExplainOptions(ShapeOptions, _TheirNames, total=False):
    """Options of explanations: those of `xai-explain`, by the same names. `xai-explain --help` says what they do.

    The names that `openvino_xai` gives some of them are understood as well.
    """

    target_layer: str | Sequence[str] | None
    scaling: bool | None
    mode: ExplainMode | str | None
    method: Method | str | None
    effort: Literal["speed", "balance", "quality"] | None
    masks: int | None
    cells: int | None
    probability: float | None
    seed: int | None
    divisor: Literal["coverage", "expectation"] | None
    iterations: int | None
    labels: StrPath | Sequence[str] | None
    activation: Literal["auto", "softmax", "sigmoid", "hierarchical", "none"] | None
    threshold: float | None
    preset: Literal["imagenet", "none"] | None
    mean: float | Sequence[float] | None
    scale: float | Sequence[float] | None
    input_range: tuple[float, float] | None
    reverse_input_channels: bool | None
    layout: Literal["NCHW", "NHWC"] | None
    resize: Literal["standard", "fit_to_window", "fit_to_window_letterbox", "crop"] | None
    input_size: tuple[int, int] | None
    device: str | None
    requests: int | None
    openvino_lib: StrPath | None


_OURS = {
    "explain_mode": "mode",
    "explain_method": "method",
    "embed_scaling": "scaling",
    "device_name": "device",
    "label_names": "labels",
    "num_masks": "masks",
    "num_cells": "cells",
    "prob": "probability",
    "num_iterations_per_kernel": "iterations",
}
_MODES = {"whitebox": "white-box", "blackbox": "black-box"}


def as_our_names(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options by our names."""
    check_names(options, ExplainOptions)
    for theirs, ours in _OURS.items():
        if theirs in options and ours in options:
            raise TypeError(f"{theirs!r} and {ours!r} are the same option")
    return {_OURS.get(name, name): value for name, value in options.items()}


def _native_options(options: dict[str, Any]) -> dict[str, Any]:
    """Options as Rust takes them, by our names."""
    own = {**options, "method": method_name(options.get("method"))}
    if (mode := own.get("mode")) is not None:
        own["mode"] = _MODES.get(plain(mode), plain(mode))
    own["openvino_lib"] = own.get("openvino_lib") or openvino_library()
    return own


def as_target_list(targets: Targets | None) -> list[str | int]:
    """Targets as Rust takes them: indices, and texts as on the command line; -1 is all, as in `openvino_xai`."""
    if targets is None:
        return ["pred"]
    if isinstance(targets, str):
        return [targets]
    listed = list(targets) if isinstance(targets, Iterable) else [targets]
    found = [one if isinstance(one, str) else indices("targets", one)[0] for one in listed]
    if found == [-1]:
        return ["all"]
    if not found or any(isinstance(one, int) and one < 0 for one in found):
        raise UsageError(f"targets are indices from 0, names, or -1 for all, not {targets!r}")
    return found


def as_label_list(labels: StrPath | Sequence[str]) -> list[str]:
    """Names of the classes; a path is read."""
    if isinstance(labels, (str, os.PathLike)):
        return _native.read_labels(labels)
    if not isinstance(labels, Iterable):
        raise UsageError(f"labels are a file or a list of names, not {labels!r}")
    return [str(label) for label in labels]


class Outputs(Mapping):
    """The outputs of an inference, by name or by number, as `postprocess_fn` gets them."""

    def __init__(self, outputs: list[tuple[str, np.ndarray]]) -> None:
        self._outputs = outputs

    def __getitem__(self, key: str | int) -> np.ndarray:
        if hasattr(key, "__index__"):
            return self._outputs[key][1]
        for name, value in self._outputs:
            if name == key:
                return value
        raise KeyError(f"{key!r}; the outputs are {', '.join(map(repr, self))}")

    def __iter__(self):
        return iter(name for name, _ in self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)


class _Scores:
    """`postprocess_fn` as Rust calls it."""

    def __init__(self, function: Callable[[Outputs], Any]) -> None:
        self._function = function
        self._count: int | None = None

    def __call__(self, given: list[tuple[str, str, list[int], bytes]]) -> bytes:
        outputs = Outputs([(name, _array(name, *tensor)) for name, *tensor in given])
        scores = _numbers(self._function(outputs), "postprocess_fn has to return scores")
        if scores.ndim == 0 or scores.size != scores.shape[-1]:
            shape = list(scores.shape)
            raise UsageError(f"postprocess_fn has to return scores [classes] or [1, classes], not {shape}")
        if self._count is None:
            self._count = scores.size
        if scores.size != self._count:
            raise UsageError(f"postprocess_fn returned {self._count} scores, and then {scores.size}")
        return scores.tobytes()


def _array(name: str, element: str, shape: list[int], data: bytes) -> np.ndarray:
    import numpy as np

    kind = {"f16": "e", "f32": "f4", "f64": "f8", "boolean": "?"}.get(element)
    if kind is None:
        if element[0] not in "iu" or element[1:] not in ("8", "16", "32", "64"):
            raise UsageError(f"output {name!r} of type {element} cannot be handed to postprocess_fn")
        kind = f"{element[0]}{int(element[1:]) // 8}"
    return np.frombuffer(data, kind).reshape(shape)


def _numbers(given: Any, what: str) -> np.ndarray:
    """An array of f32, or an error that begins with `what`."""
    import numpy as np

    array = as_array(given)
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{what}, not an array of type {array.dtype}")
    return np.ascontiguousarray(array, np.float32)


class Target:
    """One class, or one object of a detector, and its map."""

    def __init__(self, explained: _native.Explained, index: int, data: dict[str, Any]) -> None:
        self._explained, self._index = explained, index
        self.class_id: int | None = data["class"]
        """The class; None where the method knows no classes."""
        self.label: str = data["label"]
        self.score: float | None = data["score"]
        self.corners: list[float] | None = data.get("corners")
        """The object's `[x1, y1, x2, y2]` in pixels of the photo."""

    @property
    def map(self) -> np.ndarray:
        """What the method gave, over the model's input: f32 `[height, width]`."""
        return _rows(self._explained.map(self._index), "f4")

    @property
    def photo_map(self) -> np.ndarray:
        """The same over the photo, in its size."""
        return _rows(self._explained.photo_map(self._index), "f4")

    @property
    def title(self) -> str:
        """Label and score."""
        return self.label if self.score is None else f"{self.label} {self.score:.3f}"

    def overlay(self, weight: float = 0.5, *, colours: Colours = "viridis", caption: bool = False) -> np.ndarray:
        """The photo under the map: u8 `[height, width, 3]`. `weight` is the share of the map."""
        return _rows(self._explained.picture(self._index, _drawing(weight, colours, caption)), "u1", 3)

    def heatmap(self, *, colours: Colours = "viridis") -> np.ndarray:
        """The map alone, in colours and in the photo's size: u8 `[height, width, 3]`."""
        return _rows(self._explained.heatmap(self._index, _drawing(1.0, colours, False)), "u1", 3)

    def _repr_png_(self) -> bytes:
        return self._explained.png(self._index, _drawing(0.5, "viridis", True))

    def __repr__(self) -> str:
        return f"<Target {self.title!r}>"


class Explanation:
    """What a model said of an image, and where it looked. In Jupyter it shows itself as a picture."""

    def __init__(self, explained: _native.Explained) -> None:
        data = json.loads(explained.report())
        self._explained = explained
        self.photo: str = data["photo"]
        """Path of the photo, or the name of an array."""
        self.best: list[dict[str, Any]] = data["best"]
        """The five best classes: `class`, `label` and `score`; empty where only boxes are known."""
        self.note: str | None = data["note"]
        """What there is to say of this photo: that no class counts, and the best is explained."""
        self.targets = [Target(explained, index, target) for index, target in enumerate(data["targets"])]
        """What was explained, the likeliest first where the model chose."""

    @property
    def maps(self) -> dict[int | str, np.ndarray]:
        """Maps by class, or by label where the method knows no classes. Of objects of the same class, the best."""
        found: dict[int | str, np.ndarray] = {}
        for target in self.targets:
            found.setdefault(target.label if target.class_id is None else target.class_id, target.map)
        return found

    def save(
        self,
        folder: StrPath,
        prefix: str | None = None,
        *,
        overwrite: bool = False,
        weight: float = 0.5,
        colours: Colours = "viridis",
        caption: bool = True,
    ) -> list[Path]:
        """Write the overlay of each target to `folder`, as `<prefix>_<label>_overlay.png`, and return the paths.

        The prefix is the name of the photo unless another is given. Files that are there are kept, and
        `UsageError` raised, unless `overwrite` is on.
        """
        prefix = Path(self.photo).stem if prefix is None else prefix
        drawing = _drawing(weight, colours, caption)
        return [Path(path) for path in self._explained.save(folder, prefix, overwrite, drawing)]

    def _repr_png_(self) -> bytes | None:
        return self.targets[0]._repr_png_() if self.targets else None

    def __repr__(self) -> str:
        return f"<Explanation of {self.photo}: {', '.join(target.title for target in self.targets)}>"


class Explainer:
    """A model that is ready to be asked why.

    `model` is what `insert` takes. White box where a branch fits, else black box; `str(explainer)` says what is
    applied.

    Images are prepared as `model_info` or options say. With `preprocess_fn` that is left to a function, which gets
    the pixels and returns the model's input, with a batch of 1; it may stretch the image, but not cut it. Scores
    are found in the model; `postprocess_fn` makes them of its `Outputs` instead, and is called for every inference,
    from several threads. At the start it is called for two images of noise: where it orders classes otherwise than
    the scores that a branch would explain, the model is a black box (an error where white box was asked for).
    """

    def __init__(
        self,
        model: Any,
        task: Task | str | None = None,
        preprocess_fn: Callable[[np.ndarray], np.ndarray] | None = None,
        postprocess_fn: Callable[[Outputs], np.ndarray] | None = None,
        *,
        targets: Targets | None = None,
        weights: StrPath | None = None,
        example_input: Any = None,
        input: Any = None,
        **options: Unpack[ExplainOptions],
    ) -> None:
        given = as_our_names(options)
        self._preprocess = preprocess_fn
        self._targets = as_target_list(targets)
        labels = given.pop("labels", None)
        own = _native_options({**given, "task": task})
        scores = None if postprocess_fn is None else _Scores(postprocess_fn)
        with as_files(model, weights, example_input=example_input, input=input) as files:
            own["weights"] = files.weights
            self._native = _native.Explainer(files.xml, own, preprocess_fn is not None, scores)
        self._labels = self._native.labels if labels is None else as_label_list(labels)
        self._native.aim(self._targets, self._labels)

    @property
    def settings(self) -> dict[str, Any]:
        """What is applied, with nothing left open."""
        return json.loads(self._native.settings[0])

    @property
    def labels(self) -> list[str]:
        """Names of the classes; empty where they are not known."""
        return list(self._labels)

    def __call__(
        self,
        image: Image,
        targets: Targets | None = None,
        *,
        labels: StrPath | Sequence[str] | None = None,
        original_input_image: np.ndarray | None = None,
        name: str = "image",
    ) -> Explanation:
        """Explain an image: a path, a Pillow image, or u8 pixels `[height, width]` or `[height, width, 3 or 4]`, red first.

        An array of four axes is taken as the model's input, prepared already; pictures are then drawn over
        `original_input_image`, or over what can be made of the input. `targets` and `labels` are for this image.
        """
        given = self._given(image, name, original_input_image)
        (found,) = self._explain([given], targets, labels)
        if isinstance(found, Exception):
            raise found
        return found

    def each(
        self,
        images: Iterable[Image],
        targets: Targets | None = None,
        *,
        labels: StrPath | Sequence[str] | None = None,
        names: Sequence[str] | None = None,
    ) -> list[Explanation | Exception]:
        """Explain images together; an exception stands in place of one that could not be explained."""
        if isinstance(images, (str, os.PathLike)):
            raise UsageError("each takes several images; call the explainer itself for one")
        images = list(images)
        names = [f"image {index}" for index in range(len(images))] if names is None else list(names)
        if len(names) != len(images):
            raise UsageError(f"{len(names)} names for {len(images)} images")
        given: list[Any] = []
        for image, name in zip(images, names, strict=True):
            try:
                given.append(self._given(image, name, None))
            except XaiInsertError as error:
                given.append(error)
        found = iter(self._explain([one for one in given if not isinstance(one, Exception)], targets, labels))
        return [one if isinstance(one, Exception) else next(found) for one in given]

    def _explain(
        self, given: list[Any], targets: Targets | None, labels: StrPath | Sequence[str] | None
    ) -> list[Explanation | Exception]:
        texts = self._targets if targets is None else as_target_list(targets)
        names = self._labels if labels is None else as_label_list(labels)
        found = self._native.explain(given, texts, names)
        return [one if isinstance(one, Exception) else Explanation(one) for one in found]

    def _given(self, image: Any, name: str, original: np.ndarray | None) -> tuple[Any, Any, Any]:
        """An image as Rust takes it: a path or name, pixels, and the tensor where it is prepared."""
        import numpy as np

        if isinstance(image, (str, os.PathLike)):
            name = os.fspath(image)
            if self._preprocess is None:
                return name, None, None
            image = _rows(_native.read_photo(name), "u1", 3)
        image = as_pixels(image)
        if self._preprocess is not None:
            tensor = self._preprocess(image)
            original = image if original is None else original
        elif image.ndim == 4:
            tensor = image
        elif original is None:
            return name, _pixels(image), None
        else:
            raise UsageError("original_input_image is for an image that is prepared already, with four axes")
        values = _numbers(tensor, "a prepared image is an array of numbers")
        tensor = as_array(tensor)
        shape, channels_last = self._native.input
        if list(tensor.shape) != shape:
            raise UsageError(f"a prepared image of the shape {list(tensor.shape)}; the model takes {shape}")
        if not np.isfinite(values).all():
            raise UsageError(f"{name}: the prepared image is not finite numbers")
        original = None if original is None else as_pixels(original)
        if original is None or original.ndim == 4:
            original = _shown(tensor, channels_last)
        return name, _pixels(original), (values.tobytes(), list(values.shape))

    def __str__(self) -> str:
        return self._native.settings[1]

    def __repr__(self) -> str:
        settings = self.settings
        return f"<Explainer {settings['method']}, {settings['mode']}>"


def explain(
    model: Any,
    image: Image,
    targets: Targets | None = None,
    *,
    task: Task | str | None = None,
    preprocess_fn: Callable[[np.ndarray], np.ndarray] | None = None,
    postprocess_fn: Callable[[Outputs], np.ndarray] | None = None,
    weights: StrPath | None = None,
    example_input: Any = None,
    input: Any = None,
    **options: Unpack[ExplainOptions],
) -> Explanation:
    """Explain an image. For several there is `Explainer`, which reads the model once; options are those of it."""
    source = {"weights": weights, "example_input": example_input, "input": input}
    explainer = Explainer(model, task, preprocess_fn, postprocess_fn, targets=targets, **source, **options)
    return explainer(image)


def _drawing(weight: float, colours: str, caption: bool) -> dict[str, Any]:
    return {"weight": weight, "colours": colours, "caption": caption}


def _pixels(pixels: np.ndarray) -> tuple[bytes, int, int, int]:
    import numpy as np

    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        forms = "a path, u8 [height, width(, channels)], or the model's input with four axes"
        raise UsageError(f"an image is {forms}, not {pixels.dtype}{list(pixels.shape)}")
    height, width, channels = (*pixels.shape, 1)[:3]
    return np.ascontiguousarray(pixels).tobytes(), height, width, channels


def _shown(tensor: np.ndarray, channels_last: bool) -> np.ndarray:
    """A picture of a model's input: its bytes, or its values from the least to the greatest."""
    import numpy as np

    image = tensor[0]
    image = image if channels_last else image.transpose(1, 2, 0)
    if image.dtype == np.uint8:
        return image
    image = np.nan_to_num(image.astype(np.float32))
    least, most = (image.min(), image.max()) if image.size else (0.0, 0.0)
    if least < 0 or most > 255 or most <= 1:
        image = (image - least) * (255 / (most - least) if most > least else 0)
    return np.round(image).astype(np.uint8)


def _rows(given: tuple[bytes, int, int], kind: str, *channels: int) -> np.ndarray:
    import numpy as np

    data, height, width = given
    return np.frombuffer(data, kind).reshape(height, width, *channels).copy()
