"""Checks of models with a branch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from . import _native
from ._models import openvino_library
from ._options import check_names
from .errors import UsageError
from .reports import VerificationReport

if TYPE_CHECKING:
    from typing_extensions import Unpack

    StrPath = str | os.PathLike[str]


class VerifyOptions(TypedDict, total=False):
    """Options of the checks: those of `xai-verify`, by the same names. `xai-verify --help` says what they do."""

    image: StrPath | None
    samples: int | None
    seed: int | None
    shape: str | None
    positions: int | None
    device: str
    openvino_lib: StrPath | None
    precision: Literal["default", "f32", "both"] | None
    bench: bool


def verify(
    original: StrPath,
    model: StrPath,
    *,
    weights: StrPath | None = None,
    **options: Unpack[VerifyOptions],
) -> VerificationReport:
    """Check the IR `model`, which was made from the IR `original` by adding a branch.

    Structure: every byte of the original is still there. Outputs: both give the same answers. Saliency: the maps
    are those of the method's definition. Meaning: what was explained is what the model answers. Place: maps lie where
    they say in the image. Precision: how maps drift at the device's own precision, with `precision`. Cost: latency of
    both, with `bench`.

    The report is true where all was checked and is well. Both are paths: what is checked are bytes. For a model
    in memory there is `Insertion.verify`.
    """
    for path in (original, model):
        if not isinstance(path, (str, os.PathLike)):
            message = f"verify compares IR files, and {type(path).__name__} is none; use insert(…).verify()"
            raise UsageError(message)
    return verify_files(Path(original), None if weights is None else Path(weights), Path(model), **options)


def verify_files(original: Path, weights: Path | None, model: Path, **options: Any) -> VerificationReport:
    check_names(options, VerifyOptions)
    given = {**options, "weights": weights}
    given["openvino_lib"] = given.get("openvino_lib") or openvino_library()
    return VerificationReport._read(*_native.verify(original, model, given))
