"""The environment of `openvino_xai`."""

import shutil
import sys

from ..common.environments import environment
from ..common.processes import Failed, Skipped

PEER = "openvino_xai==1.1.0"
VERSION = (3, 11)


def interpreter():
    """The interpreter of an environment with `openvino_xai`; `Skipped` where it cannot be made."""
    base = sys.executable if sys.version_info[:2] == VERSION else shutil.which("python3.11")
    if base is None:
        raise Skipped(f"{PEER} needs Python 3.11, which is not there")
    try:
        return environment("peer", PEER, base=base)
    except Failed as failure:
        raise Skipped(failure) from failure
