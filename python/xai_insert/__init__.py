"""Saliency maps in models in OpenVINO IR: a compiler that adds the branch which computes them.

    import xai_insert

    model = xai_insert.insert_xai(model)                             # openvino.Model in, openvino.Model out
    xai_insert.insert_xai("model.xml", output_file="model_xai.xml")  # an IR in, an IR out
    print(xai_insert.verify("model.xml", "model_xai.xml"))
"""

from . import errors
from ._insert import Insertion, insert, insert_xai, list_targets, remove_xai
from ._native import __version__
from ._options import BranchOptions, Method, Task
from ._verify import VerifyOptions, verify
from .errors import (
    FileError,
    InternalError,
    ModelError,
    OpenVinoError,
    RefusedError,
    UsageError,
    VerificationError,
    XaiInsertError,
)
from .reports import Check, InsertionReport, Report, VerificationReport

__all__ = [
    "BranchOptions",
    "Check",
    "FileError",
    "Insertion",
    "InsertionReport",
    "InternalError",
    "Method",
    "ModelError",
    "OpenVinoError",
    "RefusedError",
    "Report",
    "Task",
    "UsageError",
    "VerificationError",
    "VerificationReport",
    "VerifyOptions",
    "XaiInsertError",
    "__version__",
    "errors",
    "insert",
    "insert_xai",
    "list_targets",
    "remove_xai",
    "verify",
]
