"""Models that come through the TensorFlow front ends, where images are NHWC.

TensorFlow is large and wants other versions of common packages, so it may live in an environment
of its own: `TENSORFLOW_PYTHON` names that environment's interpreter. Without it, and without
TensorFlow here, these fixtures are skipped.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import openvino as ov

from .convert import name_ports, save
from .registry import Skipped, fixture

EXPORTER = Path(__file__).with_name("tensorflow_export.py")


def convert_keras(path, form):
    """Export the Keras model as `form` (`saved_model` or `tflite`), convert it and save it."""
    python = os.environ.get("TENSORFLOW_PYTHON")
    if not python:
        if importlib.util.find_spec("tensorflow") is None:
            raise Skipped("no TensorFlow here, and TENSORFLOW_PYTHON is not set")
        python = sys.executable
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / f"cnn.{form}"
        quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        command = [python, EXPORTER, form, source]
        subprocess.run(command, check=True, env=quiet, stdout=subprocess.DEVNULL)
        save(name_ports(ov.convert_model(source)), path)


@fixture("TensorFlow, SavedModel")
def cnn_nhwc_tf(path):
    """The TensorFlow front end: NHWC input, a Transpose at the start, dynamic batch."""
    convert_keras(path, "saved_model")


@fixture("TensorFlow, TFLite")
def cnn_tflite(path):
    """The TFLite front end: NHWC input, static batch, layers called Transpose that are none."""
    convert_keras(path, "tflite")
