"""Reports: what was done to a model, and what checking it found."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from .errors import VerificationError


def _shape(tensor: dict[str, Any]) -> str:
    dims = ",".join("?" if dim is None else str(dim) for dim in tensor["shape"])
    return f"{tensor['element']}[{dims}]"


class Report:
    """A report of the command line: its fields as `data`, its text by `str`."""

    def __init__(self, data: dict[str, Any], text: str) -> None:
        self.data = data
        self.text = text

    @classmethod
    def _read(cls, text: str, shown: str, **more: Any):
        return cls({**more, **json.loads(text)}, shown)

    def to_dict(self) -> dict[str, Any]:
        """The report for programs, as `--json` prints it."""
        return self.data

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.data == self.data

    __hash__ = None

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.text)}</pre>"


class InsertionReport(Report):
    """What an insertion did. All fields of the JSON report are in `data`."""

    @property
    def method(self) -> str:
        """`reciprocam`, `vitreciprocam`, …"""
        return self.data["method"]

    @property
    def explains(self) -> str:
        """The output that is explained."""
        return self.data["explains"]

    @property
    def target(self) -> str:
        """The layer whose positions are masked; of a detector, the layers of all scales."""
        heads = self.data.get("heads")
        return ", ".join(head["layer"] for head in heads) if heads else self.data["target"]["layer"]

    @property
    def classes(self) -> int | None:
        """Number of classes of the model; None where not known."""
        return self.data["classes"]

    @property
    def targets(self) -> str:
        """Classes that have a map: `all`, `top5`, `281,282`."""
        return self.data["targets"]

    @property
    def lowering(self) -> str | None:
        """The dearest form that was needed; None without a head."""
        return (self.data.get("lowering") or {}).get("form")

    @property
    def outputs(self) -> dict[str, str]:
        """Outputs that were added: names, with type and shape (`u8[1,1000,7,7]`)."""
        return {output["name"]: _shape(output) for output in self.data["outputs"]}

    @property
    def notes(self) -> list[str]:
        """Other things worth knowing."""
        return self.data["notes"]

    def __repr__(self) -> str:
        outputs = ", ".join(f"{name}={shape}" for name, shape in self.outputs.items())
        return f"<InsertionReport {self.method} of {self.explains!r} at {self.target!r}: {outputs}>"


class Check:
    """One check of a verification."""

    def __init__(self, name: str, data: dict[str, Any]) -> None:
        self.name = name
        self.outcome: str = data["outcome"]
        """`passed`, `failed`, `not_checked`, or `skipped` where it was not asked for."""
        self.problems: list[str] = data["problems"]
        """What is wrong, or why the check could not be done."""
        self.figures: dict[str, Any] = {
            key: value for key, value in data.items() if key not in ("outcome", "problems")
        }
        """What was measured, as far as it came to that."""

    def __bool__(self) -> bool:
        return self.outcome in ("passed", "skipped")

    def __repr__(self) -> str:
        return f"<Check {self.name}: {'; '.join([self.outcome, *self.problems])}>"


class VerificationReport(Report):
    """What checking a model found. True where all was checked and is well."""

    @property
    def outcome(self) -> str:
        """`passed`, `failed` or `not_checked`."""
        return self.data["outcome"]

    @property
    def checks(self) -> dict[str, Check]:
        """The checks: `structure`, `outputs`, `saliency`, `place`; `feature_vector`, `meaning`, `precision` and `cost`
        where there are such."""
        names = ("structure", "outputs", "saliency", "feature_vector", "meaning", "place", "precision", "cost")
        return {name: Check(name, self.data[name]) for name in names if self.data.get(name)}

    def raise_unless_passed(self) -> None:
        """Raise `VerificationError` unless all is well."""
        if not self:
            raise VerificationError(str(self), self)

    def __bool__(self) -> bool:
        return self.outcome == "passed"

    def __repr__(self) -> str:
        checks = ", ".join(f"{name} {check.outcome}" for name, check in self.checks.items())
        return f"<VerificationReport {self.outcome}: {checks}>"
