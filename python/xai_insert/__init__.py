"""Saliency maps in models in OpenVINO IR: a compiler that adds the branch which computes them.

    import xai_insert

    model = xai_insert.insert_xai(model)                             # openvino.Model in, openvino.Model out
    xai_insert.insert_xai("model.xml", output_file="model_xai.xml")  # an IR in, an IR out
    print(xai_insert.verify("model.xml", "model_xai.xml"))
    xai_insert.explain("model.xml", "photo.jpg").save("out")
"""

from . import errors
from ._dataset import DatasetReport, explain_dataset, read_dataset
from ._explain import Explainer, ExplainMode, Explanation, ExplainOptions, Outputs, Target, explain
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
    "DatasetReport",
    "ExplainMode",
    "ExplainOptions",
    "Explainer",
    "Explanation",
    "FileError",
    "Insertion",
    "InsertionReport",
    "InternalError",
    "Method",
    "ModelError",
    "OpenVinoError",
    "Outputs",
    "RefusedError",
    "Report",
    "Target",
    "Task",
    "UsageError",
    "VerificationError",
    "VerificationReport",
    "VerifyOptions",
    "XaiInsertError",
    "__version__",
    "errors",
    "explain",
    "explain_dataset",
    "insert",
    "insert_xai",
    "list_targets",
    "read_dataset",
    "remove_xai",
    "verify",
]
