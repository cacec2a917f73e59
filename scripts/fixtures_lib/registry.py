"""The list of fixtures. A function under `@fixture` is one; the first line of its docstring says
what it shows and is printed into `fixtures/README.md`."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

OWN = "as this project"
TIMM = "architecture: timm, Apache-2.0"
TORCHVISION = "BSD-3-Clause"

FIXTURES = {}


class Skipped(Exception):
    """Raised by a builder that cannot run here; the message says what it lacks."""


@dataclass(frozen=True)
class Fixture:
    """One test model. `build` writes the XML and BIN at the path that it is given."""

    name: str
    build: Callable[[Path], None]
    origin: str
    licence: str
    loads: bool
    own_folder: bool

    @property
    def shows(self):
        """The first paragraph of the docstring: what this model is here for."""
        return " ".join(inspect.getdoc(self.build).split("\n\n")[0].split())

    def path(self, root):
        """Where the XML is, under the folder of all fixtures."""
        folder = self.name if self.own_folder else "small"
        return Path(root) / folder / f"{self.name}.xml"


def fixture(origin, licence=OWN, loads=True, own_folder=False):
    """Register a builder. `loads` is false for a file that OpenVINO itself refuses."""

    def register(build):
        FIXTURES[build.__name__] = Fixture(
            build.__name__, build, origin, licence, loads, own_folder
        )
        return build

    return register
