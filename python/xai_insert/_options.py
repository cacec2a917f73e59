"""Keywords as options of the command line, which knows what they mean."""

from __future__ import annotations

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
    memory_budget: int | str | None


class InsertXaiOptions(ShapeOptions, total=False):
    """Options of `insert_xai` beside those that `openvino_xai` has."""

    targets: str | int | Iterable[int] | None
    feature_vector: bool


class BranchOptions(InsertXaiOptions, total=False):
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


def branch_arguments(
    *,
    method: Method | str | None = None,
    targets: str | int | Iterable[int] | None = None,
    feature_vector: bool = False,
    **shared: Any,
) -> list[str]:
    """Options of `xai-insert`."""
    check_names(shared, BranchOptions)
    if targets is not None and not isinstance(targets, str):
        targets = ",".join(str(index) for index in indices("targets", targets))
    own = values(method=method_name(method), targets=targets) + flags(feature_vector=feature_vector)
    return own + shared_arguments(**shared)


def shared_arguments(
    *,
    task: Task | str | None = None,
    output: str | None = None,
    target_layer: str | Sequence[str] | None = None,
    num_anchors: int | Iterable[int] | None = None,
    saliency_size: tuple[int, int] | None = None,
    block: int | None = None,
    mask: str | None = None,
    class_token: bool | None = None,
    scaling: bool | None = None,
    saliency_type: str | None = None,
    output_name: str | None = None,
    lowering: str | None = None,
    memory_budget: int | str | None = None,
) -> list[str]:
    """Options of every command that inserts. Scores that are not scaled are f32 unless another type is asked for."""
    known = [known.value for known in Task]
    if task is not None and plain(task) not in known:
        raise UsageError(f"task {plain(task)!r} is not known; there are {', '.join(known)}")
    unscaled = scaling is not None and not scaling
    if unscaled and saliency_type is None:
        saliency_type = "f32"
    layers = [target_layer] if isinstance(target_layer, str) else target_layer or []
    arguments = [f"--target-layer={layer}" for layer in layers]
    arguments += flags(no_class_token=class_token is not None and not class_token, no_scaling=unscaled)
    return arguments + values(
        task=task,
        num_anchors=None if num_anchors is None else ",".join(map(str, indices("num_anchors", num_anchors))),
        saliency_size=pair("saliency_size", saliency_size, "{}x{}"),
        output=output,
        block=block,
        mask=mask,
        saliency_type=saliency_type,
        output_name=output_name,
        lowering=lowering,
        memory_budget=memory_budget,
    )


def check_names(options: Mapping[str, object], known: Any) -> None:
    """Raise `TypeError` for options that are not known."""
    unknown = set(options) - set(known.__annotations__)
    if unknown:
        raise TypeError(f"there is no option {', '.join(map(repr, sorted(unknown)))}")


def indices(name: str, given: object) -> list[int]:
    """One whole number or several."""
    listed = list(given) if isinstance(given, Iterable) and not isinstance(given, (str, bytes)) else [given]
    if any(isinstance(one, bool) or not hasattr(one, "__index__") for one in listed):
        raise UsageError(f"{name} takes whole numbers, not {given!r}")
    return [operator.index(one) for one in listed]


def pair(name: str, given: object, form: str) -> str | None:
    """Two numbers as the command takes them."""
    if given is None or isinstance(given, str):
        return given
    both = list(given) if isinstance(given, Iterable) else []
    if len(both) != 2:
        raise UsageError(f"{name} takes two numbers, not {given!r}")
    return form.format(*both)


def plain(value: object) -> str:
    """The text of a value; members of enumerations, also of `openvino_xai`'s, stand for their values."""
    return str(value.value if isinstance(value, enum.Enum) else value)


def values(**options: object) -> list[str]:
    """`--name=value` for each option that is given."""
    given = {name: value for name, value in options.items() if value is not None}
    return [f"--{name.replace('_', '-')}={plain(value)}" for name, value in given.items()]


def flags(**options: bool) -> list[str]:
    """`--name` for each option that is on."""
    return [f"--{name.replace('_', '-')}" for name, on in options.items() if on]
