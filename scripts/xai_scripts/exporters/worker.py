"""What every exporter's module does: it gets the folder of all models and the photo, and prints what it made."""

import json
import sys
from pathlib import Path

from .expected import EGYPTIAN_CAT


def arguments():
    """The folder of all exporters' models, and the photo of a cat."""
    folder, photo = sys.argv[1:]
    return Path(folder), Path(photo)


def made(model, photo, expected=(EGYPTIAN_CAT,)):
    """Print the model's path, the photo, and what is to be seen on it."""
    print(json.dumps({"model": str(model), "photo": str(photo), "expected": list(expected)}))
