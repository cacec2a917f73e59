"""Keywords as options of the command line, which knows what they mean."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, TypedDict

from .errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import Unpack


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


class SharedOptions(TypedDict, total=False):
    """Options that shape a branch, be it written to a file or used at once."""

    task: Task | str | None
    output: str | None
    target_layer: str | Sequence[str] | None
    num_anchors: Iterable[int] | None
    saliency_size: tuple[int, int] | None
    block: int | None
    mask: Literal["gaussian", "single"] | None
    class_token: bool
    scaling: bool
    saliency_type: Literal["u8", "f32"] | None
    output_name: str | None
    lowering: Literal["auto", "dense"] | None
    memory_budget: int | str | None


class BranchOptions(SharedOptions, total=False):
    """Options of a branch: those of `xai-insert`, by the same names. `xai-insert --help` says what they do."""

    method: Method | str | None
    targets: str | Iterable[int] | None
    feature_vector: bool


_ALIASES = {"detclassprobabilitymap": "classprobabilitymap"}


def method_name(method: Method | str | None) -> str | None:
    """The name of a method; members of `openvino_xai`'s enumeration are understood."""
    name = None if method is None else plain(method).lower()
    return _ALIASES.get(name, name)


def branch_arguments(
    *,
    method: Method | str | None = None,
    targets: str | Iterable[int] | None = None,
    feature_vector: bool = False,
    **shared: Unpack[SharedOptions],
) -> list[str]:
    """Options of `xai-insert`."""
    if targets is not None and not isinstance(targets, str):
        targets = ",".join(str(int(target)) for target in targets)
    own = values(method=method_name(method), targets=targets) + flags(feature_vector=feature_vector)
    return own + shared_arguments(**shared)


def shared_arguments(
    *,
    task: Task | str | None = None,
    output: str | None = None,
    target_layer: str | Sequence[str] | None = None,
    num_anchors: Iterable[int] | None = None,
    saliency_size: tuple[int, int] | None = None,
    block: int | None = None,
    mask: str | None = None,
    class_token: bool = True,
    scaling: bool = True,
    saliency_type: str | None = None,
    output_name: str | None = None,
    lowering: str | None = None,
    memory_budget: int | str | None = None,
) -> list[str]:
    """Options of every command that inserts. Scores that are not scaled are f32 unless another type is asked for."""
    known = [known.value for known in Task]
    if task is not None and plain(task) not in known:
        raise UsageError(f"task {plain(task)!r} is not known; there are {', '.join(known)}")
    if not scaling and saliency_type is None:
        saliency_type = "f32"
    layers = [target_layer] if isinstance(target_layer, str) else target_layer or []
    arguments = [f"--target-layer={layer}" for layer in layers]
    arguments += flags(no_class_token=not class_token, no_scaling=not scaling)
    return arguments + values(
        task=task,
        num_anchors=None if num_anchors is None else ",".join(str(int(count)) for count in num_anchors),
        saliency_size=None if saliency_size is None else "{}x{}".format(*saliency_size),
        output=output,
        block=block,
        mask=mask,
        saliency_type=saliency_type,
        output_name=output_name,
        lowering=lowering,
        memory_budget=memory_budget,
    )


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
