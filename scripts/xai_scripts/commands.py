"""The commands, and how one is started."""

import ast
import importlib
import sys
from pathlib import Path

from .common.processes import Failed

# File of `scripts/`, and the module whose `main` it runs.
COMMANDS = {
    "bench": "bench.command",
    "compare_peer": "compare_peer.command",
    "compare_methods": "compare_methods",
    "compat": "compat.command",
    "differential": "differential.command",
    "export_models.py": "export_models",
    "export_timm.py": "export_timm",
    "exporters": "exporters.command",
    "fetch_models": "fetch_models.command",
    "floors": "floors",
    "int8_drift": "int8_drift.command",
    "make_fixtures.py": "fixtures.command",
    "precision": "precision.command",
    "test_gallery": "gallery",
    "zoo": "zoo.command",
}


def start(name):
    """Run a command with this process's arguments and end with its status."""
    module = importlib.import_module(f"{__package__}.{COMMANDS[name]}")
    try:
        sys.exit(module.main())
    except Failed as failure:
        sys.exit(f"{name}: {failure}")


def listing():
    """A line for each command, of its docstring."""
    return "\n".join(f"{name:18} {summary(module)}" for name, module in COMMANDS.items())


def summary(module):
    """The first line of a module's docstring. It is read, not imported: one imports PyTorch at once."""
    path = Path(__file__).parent.joinpath(*module.split(".")).with_suffix(".py")
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).splitlines()[0]
