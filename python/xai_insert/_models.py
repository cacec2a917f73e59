"""What people have in their hands, as an IR on disk."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import FileError, OpenVinoError, UsageError

if TYPE_CHECKING:
    import openvino


class Files(NamedTuple):
    """An IR on disk."""

    xml: Path
    weights: Path | None
    kept: bool
    """Whether the files are the caller's own, and so outlive the call."""


def import_openvino(purpose: str) -> Any:
    """The package `openvino`, or an error that says what it is needed for."""
    try:
        import openvino
    except ImportError as error:
        message = f"{purpose} needs OpenVINO, and Python cannot import it ({error}); install it: pip install openvino"
        raise OpenVinoError(message) from error
    return openvino


def openvino_library() -> str | None:
    """Folder of the package `openvino`: a process should not hold two runtimes."""
    if os.environ.get("OPENVINO_LIB"):
        return None
    spec = importlib.util.find_spec("openvino")
    return str(Path(spec.origin).parent) if spec and spec.origin else None


@contextlib.contextmanager
def as_files(
    model: Any, weights: str | os.PathLike[str] | None = None, **convert: Any
) -> Iterator[Files]:
    """The model as an IR: its own files, or temporary ones for a model in memory.

    Anything but an IR and an `openvino.Model` goes through `openvino.convert_model`, with the keywords of that.
    """
    convert = {name: value for name, value in convert.items() if value is not None}
    if isinstance(model, (str, os.PathLike)) and Path(model).suffix.lower() == ".xml":
        if convert:
            raise UsageError(f"{model} is an IR already; {', '.join(convert)} would have no effect")
        yield Files(Path(model), None if weights is None else Path(weights), True)
        return
    if weights is not None:
        raise UsageError("weights names the BIN of an IR; this model is none")
    ov = import_openvino("a model that is no IR")
    if not isinstance(model, ov.Model):
        model = converted(ov, model, convert)
    elif convert:
        raise UsageError(f"the model is converted already; {', '.join(convert)} would have no effect")
    with tempfile.TemporaryDirectory(prefix="xai-insert-") as folder:
        xml = Path(folder, "model.xml")
        ov.serialize(model, str(xml))
        yield Files(xml, None, False)


def converted(ov: Any, model: Any, convert: dict[str, Any]) -> openvino.Model:
    """A model of another framework as an `openvino.Model`."""
    if isinstance(model, (str, os.PathLike)):
        if not Path(model).exists():
            raise FileError(f"cannot read {model}: it does not exist")
        model = os.fspath(model)
    try:
        return ov.convert_model(model, **convert)
    except Exception as error:
        raise OpenVinoError(f"OpenVINO cannot convert {_name(model)}: {error}") from error


def _name(model: Any) -> str:
    return model if isinstance(model, str) else f"an object of type {type(model).__module__}.{type(model).__name__}"
