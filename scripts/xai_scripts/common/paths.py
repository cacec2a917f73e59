"""The repository's folders."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = ROOT / "scripts"
TARGET = ROOT / "target"
DOCS = ROOT / "docs"
FIXTURES = ROOT / "fixtures"
SMALL = FIXTURES / "small"
# The one fixture with trained weights, a photo and labels.
MOBILENET = FIXTURES / "mobilenet_v2"
# Models that `scripts/fetch_models` gets, and those that `scripts/bench` exports.
FETCHED = TARGET / "models"
EXPORTED = TARGET / "bench"


def fixture(name):
    """The XML of a fixture."""
    own = FIXTURES / name / f"{name}.xml"
    return own if own.exists() else SMALL / f"{name}.xml"
