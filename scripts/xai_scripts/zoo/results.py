"""What a sweep found, kept from run to run."""

import json

from ..common import paths

FOLDER = paths.TARGET / "zoo"
FILE = FOLDER / "results.jsonl"


def read():
    """Results by family, model and form; the last one counts."""
    lines = FILE.read_text().splitlines() if FILE.exists() else []
    return {key(result): result for result in map(json.loads, lines)}


def append(result):
    """Keep a result."""
    FILE.parent.mkdir(parents=True, exist_ok=True)
    with FILE.open("a") as file:
        file.write(json.dumps(result) + "\n")


def key(result):
    """What identifies a result."""
    return result["family"], result["model"], result["form"]
