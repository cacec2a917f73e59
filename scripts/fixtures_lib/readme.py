"""The table `fixtures/README.md`, from the registry and the files on disk."""

import inspect

from .registry import FIXTURES

INTRODUCTION = """\
# Fixtures

Test models in the form that OpenVINO reads. `scripts/make_fixtures.py` makes them, and this file
with them; what each one is there for is the docstring of its function in `scripts/fixtures_lib`.

    pip install -r scripts/requirements-fixtures.txt
    scripts/make_fixtures.py [NAME...]

Those of the TensorFlow front ends need `tensorflow-cpu==2.21.0` in an environment of its own, whose
interpreter the variable `TENSORFLOW_PYTHON` names; they are skipped without it.

All weights but those of `mobilenet_v2` are random and seeded; biases, affine parts and running
statistics are perturbed, because converters drop those that do nothing. Grids of positions are
not square, so that height and width cannot be confused unnoticed. Every file but those marked
"does not load" was loaded and run: its outputs are finite and depend on the input.
"""

HEADER = """\
| fixture | shows | source | licence | XML, kB | BIN, kB |
| --- | --- | --- | --- | --- | --- |
"""


def write(root, kinds):
    """One section per module in `kinds`, listing those of its fixtures whose files exist."""
    sections = [section(root, kind) for kind in kinds]
    text = "\n".join([INTRODUCTION, *filter(None, sections)])
    (root / "README.md").write_text(text, encoding="utf-8")


def section(root, kind):
    """A heading from the module's docstring and its table; empty without files."""
    fixtures = [item for item in FIXTURES.values() if item.build.__module__ == kind.__name__]
    rows = [row(fixture, root) for fixture in fixtures if fixture.path(root).exists()]
    heading = inspect.getdoc(kind).split("\n\n")[0].replace("\n", " ").rstrip(".")
    return f"## {heading}\n\n{HEADER}{''.join(rows)}" if rows else ""


def row(fixture, root):
    path = fixture.path(root)
    shows = fixture.shows if fixture.loads else f"{fixture.shows} Does not load."
    sizes = [kilobytes(path), kilobytes(path.with_suffix(".bin"))]
    link = f"[{fixture.name}]({path.relative_to(root).as_posix()})"
    cells = [link, shows, fixture.origin, fixture.licence, *sizes]
    return "| " + " | ".join(cells) + " |\n"


def kilobytes(path):
    return f"{path.stat().st_size / 1000:.1f}"
