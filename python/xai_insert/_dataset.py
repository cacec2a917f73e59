"""Whole datasets: maps and scores of many photos as Parquet, in this process or on Ray.

Photos are split into parts, and a part is written when it is done, in one step. A run that was stopped, or a worker
that was killed, loses no more than the part that was at work, and that one is done again.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ._explain import Explainer, ExplainOptions, Explanation, as_label_list, as_our_names
from ._models import Files, as_files
from ._native import __version__
from ._options import plain
from .errors import FileError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from typing_extensions import Unpack

    StrPath = str | os.PathLike[str]

_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
_MANIFEST = "dataset.json"

# Photos that are done together, whatever machine this is: the same groups give the same results.
_GROUP = 16


@dataclass(frozen=True)
class DatasetReport:
    """What became of a dataset."""

    out: Path
    """The folder with the parts."""
    photos: int
    """Photos of the dataset."""
    parts: int
    """Parts that this run wrote."""
    resumed: int
    """Parts that were there already."""
    maps: int
    """Maps in all parts."""
    errors: dict[str, str]
    """Photos that could not be explained, with the reason."""

    def table(self) -> pyarrow.Table:
        """All parts as one table, in the order of the photos."""
        return read_dataset(self.out)


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


def explain_dataset(
    path: StrPath | Iterable[StrPath],
    model: Any,
    out: StrPath,
    *,
    ray: bool = False,
    workers: int | None = None,
    part_size: int = 64,
    progress: Callable[[int, int], None] | None = None,
    preprocess_fn: Callable[[np.ndarray], np.ndarray] | None = None,
    postprocess_fn: Callable[[Mapping], np.ndarray] | None = None,
    weights: StrPath | None = None,
    example_input: Any = None,
    input: Any = None,
    **options: Unpack[ExplainOptions],
) -> DatasetReport:
    """Explain all photos of a folder and those below, or those listed; maps and scores go to `out` as Parquet.

    A part of `part_size` photos is a file of that folder. Parts of an earlier run with the same photos, model and
    options are kept, so that the same call resumes; another dataset in the folder is an error. `model` and options
    are those of `Explainer`. `progress` is called with the number of photos that are done, and of all.

    With `ray`, `workers` actors of Ray Data do the work, each with a model of its own: on the cluster that
    `ray.init()` or RAY_ADDRESS names, which has to see `path`, `model` and `out` under the same names, or on a local
    one. It needs `pip install 'xai-insert[ray]'`; without, `pip install 'xai-insert[dataset]'` is enough. Results
    are the same within float error.

    A row is a map: `photo` (relative to the folder), `class`, `label`, `score`, `corners` of a detector's object,
    `height` and `width` of `map`, which is row-major f32 over the model's input. A photo that could not be explained
    has a row with `error` and no map.
    """
    _pyarrow()
    if part_size < 1 or (workers is not None and workers < 1):
        raise UsageError("part_size and workers are 1 or more")
    if workers not in (None, 1) and not ray:
        raise UsageError("more than one worker needs ray=True; one uses all cores of this machine")
    root, photos = _photos(path)
    folder = _prepared(Path(out).absolute())
    settings = _settings(weights, options)
    settings.update(preprocess_fn=preprocess_fn, postprocess_fn=postprocess_fn)
    with contextlib.ExitStack() as stack:
        # Other machines read the model where they write their results.
        shared = folder if ray else None
        files = stack.enter_context(_model(model, shared, weights, example_input=example_input, input=input))
        _check_manifest(folder, files, photos, part_size, settings)
        parts = [
            Part(index, photos[start : start + part_size], str(folder / f"part-{index:05}.parquet"))
            for index, start in enumerate(range(0, len(photos), part_size))
        ]
        wanted = [part for part in parts if not Path(part.path).exists()]
        done = sum(len(part.photos) for part in parts) - sum(len(part.photos) for part in wanted)
        arguments = (str(files.xml.absolute()), str(root), settings)
        for index in _ray_run(wanted, arguments, workers) if ray else _run(wanted, arguments):
            done += len(parts[index].photos)
            if progress is not None:
                progress(done, len(photos))
        _clean(folder)
    return _report(folder, parts, len(wanted), len(photos))


def read_dataset(out: StrPath) -> pyarrow.Table:
    """What `explain_dataset` wrote, as one table, in the order of the photos."""
    parquet = _pyarrow().parquet
    paths = sorted(Path(out).glob("part-*.parquet"))
    if not paths:
        raise UsageError(f"{out} holds no parts of a dataset")
    return _pyarrow().concat_tables([parquet.read_table(path) for path in paths])


def _run(parts: list[Part], arguments: tuple[Any, ...]) -> Iterator[int]:
    """Does the work in this process; yields parts as they are done."""
    worker = Worker(*arguments) if parts else None
    for part in parts:
        worker.explain(part)
        yield part.index


def _ray_run(parts: list[Part], arguments: tuple[Any, ...], workers: int | None) -> Iterator[int]:
    if not parts:
        return
    from ._ray import run

    # What is wrong with model or options is said here, before a cluster is asked.
    Explainer(arguments[0], **arguments[2])
    yield from run(parts, arguments, workers)


def _photos(path: Any) -> tuple[Path, list[str]]:
    if not isinstance(path, (str, os.PathLike)):
        root = Path.cwd()
        photos = [str(Path(photo).absolute()) for photo in path]
    else:
        root = Path(path).absolute()
        if not root.is_dir():
            raise UsageError(f"{path} is no folder; give one, or a list of photos")
        found = (photo for photo in root.rglob("*") if photo.suffix.lower() in _SUFFIXES and photo.is_file())
        photos = sorted(str(photo.relative_to(root)) for photo in found)
    if not photos:
        raise UsageError(f"{path} holds no photos")
    return root, photos


def _prepared(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _clean(folder)
    except OSError as error:
        raise FileError(f"cannot write to the folder {folder}: {error.strerror}") from error
    return folder


def _clean(folder: Path) -> None:
    """Removes what killed workers left."""
    for path in folder.glob(".part-*.tmp"):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _model(model: Any, shared: Path | None, weights: Any, **convert: Any) -> Iterator[Files]:
    """The model as files; one in memory is put below `shared` for the time, where others can read it."""
    with as_files(model, weights, **convert) as files:
        if files.kept or shared is None:
            yield files
            return
        with tempfile.TemporaryDirectory(prefix=".model-", dir=shared) as folder:
            for path in (files.xml, files.xml.with_suffix(".bin")):
                if path.exists():
                    shutil.copy(path, folder)
            yield files._replace(xml=Path(folder, files.xml.name))


def _settings(weights: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Options that mean the same on every machine."""
    settings = as_our_names({name: value for name, value in options.items() if value is not None})
    if "labels" in settings:
        settings["labels"] = as_label_list(settings["labels"])
    if weights is not None:
        settings["weights"] = str(Path(weights).absolute())
    return settings


def _check_manifest(folder: Path, files: Files, photos: list[str], part_size: int, settings: dict[str, Any]) -> None:
    digest = hashlib.sha256()
    for path in (files.xml, files.weights or files.xml.with_suffix(".bin")):
        if path.exists():
            digest.update(path.read_bytes())
    manifest = {
        "version": __version__,
        "model": digest.hexdigest(),
        "photos": hashlib.sha256("\n".join(photos).encode()).hexdigest(),
        "part_size": part_size,
        "options": {name: _recorded(value) for name, value in sorted(settings.items()) if value is not None},
    }
    path = folder / _MANIFEST
    if path.exists():
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UsageError(f"{path} cannot be read ({error}); choose another folder") from error
        differing = [name for name in manifest if earlier.get(name) != manifest[name]]
        if differing:
            raise UsageError(f"{folder} holds another dataset ({', '.join(differing)} differ); choose another folder")
    elif any(folder.glob("part-*.parquet")):
        raise UsageError(f"{folder} holds parts without a {_MANIFEST}; choose another folder")
    else:
        _replace(path, lambda temporary: temporary.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8"))


def _recorded(value: Any) -> Any:
    """An option as the manifest notes it; of a function that is its name."""
    if callable(value):
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__qualname__)}"
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str) or not isinstance(value, Iterable):
        return plain(value)
    return [_recorded(one) for one in value]


def _schema() -> pyarrow.Schema:
    arrow = _pyarrow()
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
        yield {"photo": photo, "error": str(explanation)}
        return
    for target in explanation.targets:
        map = target.map
        yield {
            "photo": photo,
            "class": target.class_id,
            "label": target.label,
            "score": target.score,
            "corners": target.corners,
            "height": map.shape[0],
            "width": map.shape[1],
            "map": map.ravel(),
        }


def _write(rows: list[dict[str, Any]], path: Path) -> None:
    arrow = _pyarrow()
    table = arrow.Table.from_pylist(rows, schema=_schema())
    _replace(path, lambda temporary: arrow.parquet.write_table(table, temporary))


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    """Writes a file in one step: it is there as a whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        temporary.replace(path)
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _report(folder: Path, parts: list[Part], written: int, photos: int) -> DatasetReport:
    parquet = _pyarrow().parquet
    maps, errors = 0, {}
    for part in parts:
        table = parquet.read_table(part.path, columns=["photo", "error"])
        for photo, error in zip(*(table.column(name).to_pylist() for name in ("photo", "error")), strict=True):
            maps += error is None
            if error is not None:
                errors[photo] = error
    return DatasetReport(folder, photos, written, len(parts) - written, maps, errors)


def _pyarrow() -> Any:
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError("datasets are written by pyarrow; install it: pip install 'xai-insert[dataset]'")
    import pyarrow
    import pyarrow.parquet

    return pyarrow
