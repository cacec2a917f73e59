"""The commands, as the package installs them."""

import os
import signal
import sys

from . import _native
from ._models import openvino_library


def _run(name: str) -> int:
    # Python's handler would only take note of Ctrl-C until the command is done.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _native.run_command([name, *sys.argv[1:]])


def insert() -> int:
    return _run("xai-insert")


def explain() -> int:
    return _with_openvino("xai-explain")


def verify() -> int:
    return _with_openvino("xai-verify")


def _with_openvino(name: str) -> int:
    if library := openvino_library():
        os.environ["OPENVINO_LIB"] = library
    return _run(name)
