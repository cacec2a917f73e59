"""Whole datasets: maps and scores of many photos as Parquet, in this process or on Ray.

Photos are split into parts, and a part is written when it is done, in one step. A run that was stopped, or a worker
that was killed, loses no more than the part that was at work, and that one is done again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._explain import ExplainOptions, as_label_list, as_our_names, as_target_list
from ._models import Files, as_files
from ._native import __version__
from ._options import Task, indices, plain
from ._parts import Part, Worker, import_pyarrow, read_part, temporary_name, write_in_one_step
from .errors import FileError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from typing_extensions import Unpack

    from ._explain import Outputs, Targets

    StrPath = str | os.PathLike[str]

_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
_MANIFEST = "dataset.json"


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


def explain_dataset(
    path: StrPath | Iterable[StrPath],
    model: Any,
    out: StrPath,
    *,
    ray: bool = False,
    workers: int | None = None,
    part_size: int = 64,
    progress: Callable[[int, int], None] | None = None,
    targets: Targets | None = None,
    task: Task | str | None = None,
    preprocess_fn: Callable[[np.ndarray], np.ndarray] | None = None,
    postprocess_fn: Callable[[Outputs], np.ndarray] | None = None,
    weights: StrPath | None = None,
    example_input: Any = None,
    input: Any = None,
    **options: Unpack[ExplainOptions],
) -> DatasetReport:
    """Explain all photos of a folder and those below, or those listed; maps and scores go to `out` as Parquet.

    A part of `part_size` photos is a file of that folder. Parts of an earlier run with the same photos, model and
    options are kept, so that the same call resumes; another dataset in the folder is an error. Photos are known by
    name, size and time, models by their files' bytes (one that is built anew has other names inside, and so is
    another), functions by name alone. `model` and options are those of `Explainer`. `progress` is called with the
    number of photos that are done, and of all.

    With `ray`, `workers` actors of Ray Data do the work, each with a model of its own: on the cluster that
    `ray.init()` or RAY_ADDRESS names, which has to see `path`, `model` and `out` under the same names, or on a local
    one. It needs `pip install 'xai-insert[ray]'`; without, `pip install 'xai-insert[dataset]'` is enough. Results
    are the same within float error.

    A row is a map: `photo` (relative to the folder), `class`, `label`, `score`, `corners` of a detector's object,
    `height` and `width` of `map`, which is row-major f32 over the model's input. A photo that could not be explained
    has a row with `error` and no map.
    """
    import_pyarrow()
    (part_size,) = indices("part_size", part_size)
    if part_size < 1 or (workers is not None and workers < 1):
        raise UsageError("part_size and workers are 1 or more")
    if workers not in (None, 1) and not ray:
        raise UsageError("more than one worker needs ray=True; one uses all cores of this machine")
    root, photos = _photos(path)
    settings = _settings(options)
    settings |= {"targets": None if targets is None else as_target_list(targets), "task": task}
    settings |= {"preprocess_fn": preprocess_fn, "postprocess_fn": postprocess_fn}
    if weights is not None:
        settings["weights"] = str(Path(weights).absolute())
    folder = _prepared(Path(out).absolute())
    with contextlib.ExitStack() as stack:
        # Other machines read the model where they write their results.
        shared = folder if ray else None
        files = stack.enter_context(_model(model, shared, weights, example_input=example_input, input=input))
        manifest = _manifest(files, root, photos, part_size, settings)
        _check(folder, manifest)
        parts = [
            Part(index, photos[start : start + part_size], str(folder / f"part-{index:05}.parquet"))
            for index, start in enumerate(range(0, len(photos), part_size))
        ]
        wanted = [part for part in parts if not Path(part.path).exists()]
        done = len(photos) - sum(len(part.photos) for part in wanted)
        if wanted:
            arguments = (str(files.xml.absolute()), str(root), settings)
            # What is wrong with model or options is said here, before anything is written or a cluster asked.
            worker = Worker(*arguments)
            text = json.dumps(manifest, indent=2) + "\n"
            write_in_one_step(folder / _MANIFEST, lambda temporary: temporary.write_text(text, encoding="utf-8"))
            for index in _on_ray(wanted, arguments, workers) if ray else _here(wanted, worker):
                done += len(parts[index].photos)
                if progress is not None:
                    progress(done, len(photos))
        _clean(folder)
    return _report(folder, parts, len(wanted), len(photos))


def read_dataset(out: StrPath) -> pyarrow.Table:
    """What `explain_dataset` wrote, as one table, in the order of the photos."""
    paths = sorted(Path(out).glob("part-*.parquet"))
    if not paths:
        raise UsageError(f"{out} holds no parts of a dataset")
    return import_pyarrow().concat_tables([read_part(path) for path in paths])


def _here(parts: list[Part], worker: Worker) -> Iterator[int]:
    """Does the work in this process; yields parts as they are done."""
    for part in parts:
        worker.explain(part)
        yield part.index


def _on_ray(parts: list[Part], arguments: tuple[Any, ...], workers: int | None) -> Iterator[int]:
    from ._ray import run

    return run(parts, arguments, workers)


def _photos(path: Any) -> tuple[Path, list[str]]:
    if not isinstance(path, (str, os.PathLike)):
        root = Path.cwd()
        photos = [str(Path(photo).absolute()) for photo in path]
    else:
        root = Path(path).absolute()
        if not root.is_dir():
            raise UsageError(f"{path} is no folder; give one, or a list of photos")
        photos = sorted(str(photo.relative_to(root)) for photo in _found(root))
    if not photos:
        raise UsageError(f"{path} holds no photos")
    return root, photos


def _found(root: Path) -> Iterator[Path]:
    def failed(error: OSError) -> None:
        raise FileError(f"cannot read the folder {error.filename}: {error.strerror}") from error

    for folder, _, names in os.walk(root, onerror=failed):
        for photo in (Path(folder, name) for name in names):
            if photo.suffix.lower() in _SUFFIXES and photo.is_file():
                yield photo


def _prepared(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _clean(folder)
    except OSError as error:
        raise FileError(f"cannot write to the folder {folder}: {error.strerror}") from error
    return folder


def _clean(folder: Path) -> None:
    """Removes what killed workers left: files of processes that are gone, and of other machines after a day."""
    for path in folder.glob(".*.tmp"):
        host, _, process = path.name.removesuffix(".tmp").rpartition(".")
        if not process.isdigit():
            continue
        with contextlib.suppress(OSError):
            here = host.endswith(f".{socket.gethostname()}")
            if not _alive(int(process)) if here else time.time() - path.stat().st_mtime > 86400:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@contextlib.contextmanager
def _model(model: Any, shared: Path | None, weights: Any, **convert: Any) -> Iterator[Files]:
    """The model as files; one in memory is put below `shared` for the time, where others can read it."""
    with as_files(model, weights, **convert) as files:
        if files.kept or shared is None:
            yield files
            return
        folder = shared / temporary_name("model")
        try:
            folder.mkdir(exist_ok=True)
            for path in (files.xml, files.xml.with_suffix(".bin")):
                if path.exists():
                    shutil.copy(path, folder)
            yield files._replace(xml=folder / files.xml.name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that mean the same on every machine, and can be read more than once."""
    settings = as_our_names({name: value for name, value in options.items() if value is not None})
    if "labels" in settings:
        settings["labels"] = as_label_list(settings["labels"])
    for name, value in settings.items():
        if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
            settings[name] = list(value)
    return settings


def _manifest(
    files: Files, root: Path, photos: list[str], part_size: int, settings: dict[str, Any]
) -> dict[str, Any]:
    """What makes a dataset this one and no other."""
    model, listed = hashlib.sha256(), hashlib.sha256()
    try:
        for path in (files.xml, files.weights or files.xml.with_suffix(".bin")):
            if path.exists():
                model.update(path.read_bytes())
    except OSError as error:
        raise FileError(f"cannot read {error.filename}: {error.strerror}") from error
    for photo in photos:
        listed.update(os.fsencode(photo) + b"\0")
        with contextlib.suppress(OSError):
            # One that cannot be read gets a row that says so.
            state = (root / photo).stat()
            listed.update(f"{state.st_size} {state.st_mtime_ns}".encode())
    return {
        "version": __version__,
        "model": model.hexdigest(),
        "photos": listed.hexdigest(),
        "part_size": part_size,
        "options": {name: _recorded(value) for name, value in sorted(settings.items()) if value is not None},
    }


def _check(folder: Path, manifest: dict[str, Any]) -> None:
    """Raises where the folder holds parts of something else."""
    path = folder / _MANIFEST
    if not any(folder.glob("part-*.parquet")):
        return
    if not path.exists():
        raise UsageError(f"{folder} holds parts without a {_MANIFEST}; choose another folder")
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
        differing = [name for name in manifest if earlier.get(name) != manifest[name]]
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{path} cannot be read ({error}); choose another folder") from error
    if differing:
        names = ", ".join(differing)
        raise UsageError(f"{folder} holds another dataset, see {path} ({names} differ); choose another folder")


def _recorded(value: Any) -> Any:
    """An option as the manifest notes it; of a function that is its name."""
    if callable(value):
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__qualname__)}"
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str) or not isinstance(value, Iterable):
        return plain(value)
    return [_recorded(one) for one in value]


def _report(folder: Path, parts: list[Part], written: int, photos: int) -> DatasetReport:
    maps, errors = 0, {}
    for part in parts:
        table = read_part(Path(part.path), ["photo", "error"])
        for photo, error in zip(*(table.column(name).to_pylist() for name in ("photo", "error")), strict=True):
            maps += error is None
            if error is not None:
                errors[photo] = error
    return DatasetReport(folder, photos, written, len(parts) - written, maps, errors)
