"""Options by keyword; Rust reads their values."""

from __future__ import annotations

import difflib
import enum
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from .errors import UsageError


class Task(str, enum.Enum):
    """What a model does."""

    AUTO = "auto"
    CLASSIFICATION = "classification"
    DETECTION = "detection"


class Method(str, enum.Enum):
    """How maps are made."""

    RECIPROCAM = "reciprocam"
    VITRECIPROCAM = "vitreciprocam"
    ACTIVATIONMAP = "activationmap"
    CLASSPROBABILITYMAP = "classprobabilitymap"
    RISE = "rise"
    """Black box: for explanations, not for branches."""
    AISE = "aise"
    """Black box: for explanations, not for branches."""


class ShapeOptions(TypedDict, total=False):
    """Options that shape a branch."""

    output: str | None
    num_anchors: int | Iterable[int] | None
    saliency_size: tuple[int, int] | None
    block: int | None
    mask: Literal["gaussian", "single"] | None
    class_token: bool
    saliency_type: Literal["u8", "f32"] | None
    output_name: str | None
    lowering: Literal["auto", "dense"] | None
    quantized: Literal["smooth", "exact"] | None
    memory_budget: int | str | None


class CommonOptions(ShapeOptions, total=False):
    """Options of everything that inserts."""

    targets: str | int | Iterable[int] | None
    input: str | None
    input_shape: str | Sequence[int | None] | Mapping[str, Sequence[int | None]] | None
    reshape: bool
    grid: tuple[int, int] | None
    feature_vector: bool
    feature_vector_name: str | None


class InsertXaiOptions(CommonOptions, total=False):
    """Options of `insert_xai` beside those that it calls as `openvino_xai` does."""

    method: Method | str | None
    scaling: bool


class BranchOptions(CommonOptions, total=False):
    """Options of a branch: those of `xai-insert`, by the same names. `xai-insert --help` says what they do."""

    task: Task | str | None
    method: Method | str | None
    target_layer: str | Sequence[str] | None
    scaling: bool


_ALIASES = {"detclassprobabilitymap": "classprobabilitymap"}


def method_name(method: Method | str | None) -> str | None:
    """The name of a method; members of `openvino_xai`'s enumeration are understood."""
    name = None if method is None else plain(method).lower()
    return _ALIASES.get(name, name)


def branch_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a branch as Rust takes them."""
    check_names(options, BranchOptions)
    given = {**options, "method": method_name(options.get("method"))}
    if not isinstance(shape := given.get("input_shape"), str | None):
        given["input_shape"] = _shapes(shape)
    return given


def _shapes(given: Sequence[int | None] | Mapping[str, Sequence[int | None]]) -> str:
    """Shapes as the command line writes them; None and -1 leave a dimension open."""
    named = given if isinstance(given, Mapping) else {"": given}
    dims = {name: ["?" if dim in (None, -1) else str(dim) for dim in shape] for name, shape in named.items()}
    return ",".join(f"{name}[{','.join(shape)}]" for name, shape in dims.items())


def check_names(options: Mapping[str, object], known: Any) -> None:
    """Raise `TypeError` for options that are not known."""
    unknown = set(options) - set(known.__annotations__)
    if unknown:
        named = ", ".join(_with_a_likely_name(name, known.__annotations__) for name in sorted(unknown))
        raise TypeError(f"there is no option {named}")


def _with_a_likely_name(name: str, known: Iterable[str]) -> str:
    likely = difflib.get_close_matches(name.removeprefix("no_"), known, n=1)
    return f"{name!r} (did you mean {likely[0]!r}?)" if likely else repr(name)


def indices(name: str, given: object) -> list[int]:
    """One whole number or several."""
    listed = list(given) if isinstance(given, Iterable) and not isinstance(given, (str, bytes)) else [given]
    if any(isinstance(one, bool) or not hasattr(one, "__index__") for one in listed):
        raise UsageError(f"{name} takes whole numbers, not {given!r}")
    return [operator.index(one) for one in listed]


def plain(value: object) -> str:
    """The text of a value; members of enumerations, also of `openvino_xai`'s, stand for their values."""
    return str(value.value if isinstance(value, enum.Enum) else value)
