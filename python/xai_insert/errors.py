"""What can go wrong. Messages are those of the command line, with keywords in place of flags."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .reports import VerificationReport


class XaiInsertError(Exception):
    """Everything that this package raises on purpose."""


class UsageError(XaiInsertError, ValueError):
    """The request cannot be carried out: unknown or contradictory options."""


class FileError(XaiInsertError, OSError):
    """A file or folder that cannot be read or written."""


class ModelError(XaiInsertError, ValueError):
    """A file that is no sound IR; the message names byte or layer."""


class RefusedError(XaiInsertError):
    """A sound model that no method fits."""

    reasons: list[tuple[str, str]]
    """What was looked at, and why it does not fit."""

    def __init__(self, message: str, reasons: list[tuple[str, str]] | None = None) -> None:
        super().__init__(message)
        self.reasons = reasons or []

    def __reduce__(self):
        return type(self), (str(self), self.reasons)


class OpenVinoError(XaiInsertError, RuntimeError):
    """OpenVINO is not there, or refused something."""


class VerificationError(XaiInsertError):
    """A model with a branch is not what it promises, or that could not be checked."""

    report: VerificationReport

    def __init__(self, message: str, report: VerificationReport) -> None:
        super().__init__(message)
        self.report = report

    def __reduce__(self):
        return type(self), (str(self), self.report)


class InternalError(XaiInsertError):
    """A defect of this package; nothing was written."""
