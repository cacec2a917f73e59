"""Files made from another fixture by a change in its text, which no converter would write."""

import re

from . import cnn
from .registry import fixture


def rename_type(path, old, new, last):
    """Give the first or the last layer of type `old` an unknown type from an unknown opset."""
    text = path.read_text(encoding="utf-8")
    found = list(re.finditer(rf'type="{old}" version="opset\d+"', text))
    span = found[-1 if last else 0].span()
    replaced = text[: span[0]] + f'type="{new}" version="extension"' + text[span[1] :]
    path.write_text(replaced, encoding="utf-8")


@fixture("edited copy of cnn_static", loads=False)
def unknown_op(path):
    """An operator that nobody knows stands in the trunk, outside the head.

    OpenVINO cannot load the file without the extension that would define the operator.
    """
    cnn.cnn_static(path)
    rename_type(path, "ReLU", "FancyActivation", last=False)


@fixture("edited copy of cnn_static", loads=False)
def unknown_op_head(path):
    """An operator that nobody knows stands in the head, in the place of the mean."""
    cnn.cnn_static(path)
    rename_type(path, "ReduceMean", "FancyPool", last=True)
