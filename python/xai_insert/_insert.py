"""Insertion of branches."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from . import _native
from ._models import as_files, import_openvino
from ._options import BranchOptions, InsertXaiOptions, Method, Task, branch_options, check_names
from ._verify import VerifyOptions, verify_files
from .errors import UsageError
from .reports import InsertionReport, VerificationReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    import openvino
    from typing_extensions import Unpack

    StrPath = str | os.PathLike[str]


class Insertion:
    """A model with its branch, in memory."""

    def __init__(
        self, written: _native.Written, source: tuple[bytes, bytes] | Path, weights: Path | None
    ) -> None:
        self._written = written
        # Path of the original, or its XML and BIN where it has no files that last.
        self._source = source
        self._weights = weights
        self._bin = None if isinstance(source, Path) else written.bin()
        self.report = InsertionReport._read(written.report, written.text)

    def xml(self) -> bytes:
        """The new XML."""
        return self._written.xml()

    def bin(self) -> bytes:
        """The new BIN: the original's, and the constants of the branch."""
        return self._written.bin() if self._bin is None else self._bin

    def dump(self, form: Literal["text", "dot"] = "text") -> str:
        """The added graph, the same for the same input; `dot` is for Graphviz."""
        if form not in ("text", "dot"):
            raise UsageError(f"a graph can be shown as 'text' or 'dot', not as {form!r}")
        return self._written.dump[form == "dot"]

    def write(self, path: StrPath, *, overwrite: bool = False) -> Path:
        """Write the XML to `path` and the BIN beside it: both or neither."""
        self._written.write(path, overwrite, self._bin)
        return Path(path)

    def model(self) -> openvino.Model:
        """The new model, for OpenVINO."""
        ov = import_openvino("a model in memory")
        return ov.Core().read_model(model=self.xml(), weights=self.bin())

    def verify(self, **options: Unpack[VerifyOptions]) -> VerificationReport:
        """Check the new model against the original, as `xai_insert.verify` does."""
        with tempfile.TemporaryDirectory(prefix="xai-insert-") as folder:
            original, weights = self._source, self._weights
            if not isinstance(original, Path):
                original, weights = Path(folder, "original.xml"), None
                original.write_bytes(self._source[0])
                original.with_suffix(".bin").write_bytes(self._source[1])
            return verify_files(original, weights, self.write(Path(folder, "model.xml")), **options)

    def __repr__(self) -> str:
        return repr(self.report).replace("InsertionReport", "Insertion", 1)

    def __str__(self) -> str:
        return str(self.report)

    def _repr_html_(self) -> str:
        return self.report._repr_html_()


def insert(
    model: StrPath | openvino.Model | Any,
    *,
    weights: StrPath | None = None,
    example_input: Any = None,
    input: Any = None,
    **options: Unpack[BranchOptions],
) -> Insertion | None:
    """Build a saliency branch. Nothing is written; None where the model has such an output already.

    `model` is the path of an IR (its BIN is `weights`, or beside it), an `openvino.Model`, or anything that
    `openvino.convert_model` takes (with `example_input` and `input`). Options are those of `xai-insert`.

    Raises `RefusedError` with all reasons where no method fits, `UsageError` for options that are wrong,
    `ModelError` and `FileError` for files that cannot be read.
    """
    given = branch_options(options)
    with as_files(model, weights, example_input=example_input, input=input) as files:
        original = None if files.kept else files.xml.read_bytes()
        written = _native.insert(files.xml, files.weights, given)
        if written is None:
            return None
        source = files.xml.absolute()
        if original is not None:
            bin = files.xml.with_suffix(".bin")
            source = (original, bin.read_bytes() if bin.exists() else b"")
        return Insertion(written, source, files.weights)


@overload
def insert_xai(
    model: Any,
    task: Task | str | None = ...,
    explain_method: Method | str | None = ...,
    target_layer: str | Sequence[str] | None = ...,
    embed_scaling: bool | None = ...,
    *,
    output_file: None = ...,
    overwrite: bool = ...,
    verify: bool = ...,
    weights: StrPath | None = ...,
    example_input: Any = ...,
    input: Any = ...,
    **options: Unpack[InsertXaiOptions],
) -> openvino.Model: ...
@overload
def insert_xai(
    model: Any,
    task: Task | str | None = ...,
    explain_method: Method | str | None = ...,
    target_layer: str | Sequence[str] | None = ...,
    embed_scaling: bool | None = ...,
    *,
    output_file: StrPath,
    overwrite: bool = ...,
    verify: bool = ...,
    weights: StrPath | None = ...,
    example_input: Any = ...,
    input: Any = ...,
    **options: Unpack[InsertXaiOptions],
) -> InsertionReport | None: ...
def insert_xai(
    model: StrPath | openvino.Model | Any,
    task: Task | str | None = None,
    explain_method: Method | str | None = None,
    target_layer: str | Sequence[str] | None = None,
    embed_scaling: bool | None = True,
    *,
    output_file: StrPath | None = None,
    overwrite: bool = False,
    verify: bool = False,
    weights: StrPath | None = None,
    example_input: Any = None,
    input: Any = None,
    **options: Unpack[InsertXaiOptions],
) -> openvino.Model | InsertionReport | None:
    """Add a saliency map output to a model.

    Without `output_file` the new model comes back as an `openvino.Model`; one that has such an output already
    comes back as it is. With `output_file` an IR is written there, and the report comes back; None, and no
    file, where the model has such an output already.

    `task`, `explain_method`, `target_layer` and `embed_scaling` are what `openvino_xai` calls them; the others
    are options of `xai-insert`, whose `method` and `scaling` are understood too. `model` is what `insert` takes.
    With `verify` the result is checked first, and `VerificationError` raised where it is not what it should be.
    """
    check_names(options, InsertXaiOptions)
    if explain_method is not None and "method" in options:
        raise TypeError("'explain_method' and 'method' are the same option")
    if embed_scaling is not True and "scaling" in options:
        raise TypeError("'embed_scaling' and 'scaling' are the same option")
    method, scaling = options.pop("method", explain_method), options.pop("scaling", embed_scaling)
    insertion = insert(
        model,
        weights=weights,
        example_input=example_input,
        input=input,
        task=task,
        method=method,
        target_layer=target_layer,
        scaling=scaling,
        **options,
    )
    if insertion is None:
        return None if output_file is not None else _as_it_is(model, weights)
    if verify:
        insertion.verify().raise_unless_passed()
    if output_file is None:
        return insertion.model()
    insertion.write(output_file, overwrite=overwrite)
    return insertion.report


def _as_it_is(model: Any, weights: StrPath | None) -> openvino.Model:
    ov = import_openvino("a model in memory")
    if isinstance(model, ov.Model):
        return model
    with as_files(model, weights) as files:
        return ov.Core().read_model(files.xml, *([] if files.weights is None else [files.weights]))


def list_targets(
    model: StrPath | openvino.Model | Any,
    *,
    weights: StrPath | None = None,
    **options: Unpack[BranchOptions],
) -> list[dict[str, Any]]:
    """Values that could be the target, and what speaks against others: the rows of `--list-targets --json`."""
    given = branch_options(options)
    with as_files(model, weights) as files:
        return json.loads(_native.list_targets(files.xml, files.weights, given))


def remove_xai(
    path: StrPath, output_file: StrPath, *, weights: StrPath | None = None, overwrite: bool = False
) -> None:
    """Take a branch out again: writes the original IR, byte for byte, to `output_file`."""
    _native.remove(path, weights).write(output_file, overwrite)
