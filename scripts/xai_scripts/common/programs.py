"""This project's programs: where they are, what they report."""

import json
import subprocess

from .paths import ROOT, TARGET
from .processes import Failed, output

RELEASE = TARGET / "release"


def build(*names, profile="release"):
    """Build programs and return their paths, in a list."""
    command = ["cargo", "build", "--locked", "--quiet"]
    command += ["--release"] if profile == "release" else []
    for name in names:
        command += ["--bin", name]
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        raise Failed(f"{', '.join(names)} could not be built")
    return [TARGET / profile / name for name in names]


def report(command):
    """The JSON that a program prints about one model."""
    return json.loads(output([*command, "--json"]))


def reports(command):
    """The JSON of each line that a program prints."""
    return [json.loads(line) for line in output([*command, "--json"]).splitlines()]
