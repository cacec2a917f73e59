"""Parts of a dataset: some photos, and the Parquet file that their maps and scores go to."""

from __future__ import annotations

import importlib.util
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ._explain import Explainer, Explanation
from .errors import FileError, UsageError

if TYPE_CHECKING:
    import pyarrow

# Photos that are done together, whatever machine this is: the same groups give the same results.
_GROUP = 16


class Part(NamedTuple):
    """Some photos, and the file that their maps go to."""

    index: int
    photos: list[str]
    path: str


class Worker:
    """Explains parts with one compiled model."""

    def __init__(self, model: str, root: str, options: dict[str, Any]) -> None:
        self._explainer = Explainer(model, **options)
        self._root = Path(root)

    def explain(self, part: Part) -> None:
        """Explains a part's photos and writes the file."""
        rows: list[dict[str, Any]] = []
        for start in range(0, len(part.photos), _GROUP):
            photos = part.photos[start : start + _GROUP]
            found = self._explainer.each([self._root / photo for photo in photos])
            for photo, explanation in zip(photos, found, strict=True):
                rows += _rows(photo, explanation)
        _write(rows, Path(part.path))


def _schema() -> pyarrow.Schema:
    arrow = import_pyarrow()
    return arrow.schema(
        [
            ("photo", arrow.string()),
            ("class", arrow.int64()),
            ("label", arrow.string()),
            ("score", arrow.float32()),
            ("corners", arrow.list_(arrow.float32())),
            ("height", arrow.int32()),
            ("width", arrow.int32()),
            ("map", arrow.list_(arrow.float32())),
            ("error", arrow.string()),
        ]
    )


def _rows(photo: str, explanation: Explanation | Exception) -> Iterator[dict[str, Any]]:
    if isinstance(explanation, Exception):
        yield {"photo": _text(photo), "error": _text(str(explanation))}
        return
    for target in explanation.targets:
        map = target.map
        yield {
            "photo": _text(photo),
            "class": target.class_id,
            "label": target.label,
            "score": target.score,
            "corners": target.corners,
            "height": map.shape[0],
            "width": map.shape[1],
            "map": map.ravel(),
        }


def _text(text: str) -> str:
    """Names that are not UTF-8, as far as they can be written."""
    return os.fsencode(text).decode("utf-8", "replace")


def _write(rows: list[dict[str, Any]], path: Path) -> None:
    arrow = import_pyarrow()
    table = arrow.Table.from_pylist(rows, schema=_schema())
    write_in_one_step(path, lambda temporary: arrow.parquet.write_table(table, temporary))


def write_in_one_step(path: Path, write: Callable[[Path], Any]) -> None:
    """Writes a file in one step: it is there as a whole or not at all."""
    temporary = path.with_name(temporary_name(path.name))
    try:
        write(temporary)
        temporary.replace(path)
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_part(path: Path, columns: list[str] | None = None) -> pyarrow.Table:
    """A part that was written."""
    arrow = import_pyarrow()
    try:
        return arrow.parquet.read_table(path, columns=columns)
    except (OSError, arrow.ArrowException) as error:
        raise FileError(f"cannot read {path} ({error}); remove it, and the same call makes it anew") from error


def temporary_name(name: str) -> str:
    """A name that says whose it is: after a kill, nobody's."""
    return f".{name}.{socket.gethostname()}.{os.getpid()}.tmp"


def import_pyarrow() -> Any:
    """PyArrow, or what to install."""
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError("datasets are written by pyarrow; install it: pip install 'xai-insert[dataset]'")
    import pyarrow
    import pyarrow.parquet

    return pyarrow
