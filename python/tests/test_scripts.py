"""The commands of `scripts/`: each has an entry, and its command line is read without PyTorch."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT

SCRIPTS = ROOT / "scripts"
# Imports what it needs at once, and is tested in `tests_extras`.
ALONE = "export_timm.py"


def listed() -> dict[str, str]:
    """What `python -m xai_scripts` prints: commands and what they are for."""
    done = subprocess.run(
        [sys.executable, "-m", "xai_scripts"], capture_output=True, text=True, check=True, cwd=SCRIPTS, timeout=60
    )
    return dict(line.split(maxsplit=1) for line in done.stdout.splitlines())


COMMANDS = listed()


def test_every_command_has_an_entry_and_every_entry_a_command():
    entries = {
        path.name
        for path in SCRIPTS.iterdir()
        if path.is_file() and path.read_text(encoding="utf-8").startswith("#!/usr/bin/env python3")
    }
    assert entries == set(COMMANDS)
    assert all((SCRIPTS / name).stat().st_mode & 0o111 for name in entries)
    for name in entries:
        assert f'\nstart("{name}")\n' in (SCRIPTS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {ALONE}))
def test_a_command_says_what_it_is_for(name, tmp_path):
    command = [sys.executable, SCRIPTS / name, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: {name} ")
    assert " ".join(COMMANDS[name].split()) in " ".join(done.stdout.split())


def test_a_command_that_is_not_there_is_named():
    command = [sys.executable, "-m", "xai_scripts", "benhc"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=SCRIPTS, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("no such command: benhc; there are bench, ")
