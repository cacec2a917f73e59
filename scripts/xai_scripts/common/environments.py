"""Virtual environments that commands make for themselves, in the root of the repository."""

import sys

from .paths import ROOT, SCRIPTS
from .processes import Failed, finish, note, reason

REQUIREMENTS = SCRIPTS / "requirements-fixtures.txt"


def environment(name, *packages, requirements=None, base=sys.executable):
    """The interpreter of `.venv-name`, which holds `packages` or what a file of requirements lists.

    It is made by the interpreter `base` on first use, and anew where the list has changed. What goes wrong raises
    `Failed`.
    """
    folder = ROOT / f".venv-{name}"
    python, stamp = folder / "bin" / "python", folder / "stamp"
    wanted = requirements.read_text() if requirements else "\n".join(packages)
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    note(f"making {folder.name} ({requirements.name if requirements else ', '.join(packages)}) ...")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    install += ["-r", requirements] if requirements else packages
    for command in ([base, "-m", "venv", "--clear", folder], install):
        made = finish(command)
        if made.returncode != 0:
            raise Failed(f"{folder.name} could not be made: {reason(made)}")
    stamp.write_text(wanted)
    return python


def of_fixtures():
    """The interpreter with PyTorch, timm and the current OpenVINO."""
    return environment("bench", requirements=REQUIREMENTS)
