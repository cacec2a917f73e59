"""A short run of `scripts/differential`: random models and options, both lowerings and the definition agree."""

from __future__ import annotations

import subprocess
import sys

from conftest import ROOT


def test_both_lowerings_and_the_definition_agree():
    command = [sys.executable, ROOT / "scripts/differential", "--cases", "24", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "24 tried" in done.stdout and "'compared': " in done.stdout


def test_a_case_is_the_same_each_time():
    command = [sys.executable, ROOT / "scripts/differential", "--seed", "1", "--case", "3"]
    runs = [subprocess.run(command, capture_output=True, text=True, check=False, timeout=60) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout and runs[0].stdout.startswith(("compared", "refused", "flat", "not built"))
