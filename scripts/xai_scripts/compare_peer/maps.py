"""Compares maps: one model, three runs."""

import json
import tempfile
from pathlib import Path
from typing import NamedTuple

from ..common import paths, processes, programs
from ..common.processes import Failed, run_worker

# Model: the method, by our name and in capitals by theirs.
MODELS = {
    "resnet50": "reciprocam",
    "deit_tiny_patch16_224": "vitreciprocam",
    "vit_base_patch16_224": "vitreciprocam",
}
# Fixtures of the heads that the other names as supported; it is given the layers and anchors that we find.
# The real SSD is added where scripts/fetch_models has put it.
DETECTORS = {
    "det_ssd": paths.SMALL,
    "det_retinanet": paths.SMALL,
    "det_atss_nms": paths.SMALL,
    "det_yolox": paths.SMALL,
    "det_yolov8": paths.SMALL,
    "ssd_mobilenet_v2": paths.FETCHED,
}
ALLOWED = 1


class Setting(NamedTuple):
    """What all models share."""

    program: Path
    peer_python: Path
    python: Path
    folder: Path | None
    images: int
    method: str | None


def maps(python, model, images, scratch, method=None, heads=None):
    """Shape and bytes of the maps of `model`; with `method` theirs is inserted into it first, into a detector
    at the layers and anchors of `heads`."""
    out = Path(scratch) / "maps"
    asked = json.dumps({"images": images, "method": method, "heads": heads})
    done = run_worker(python, "compare_peer.maps_worker", model, out, asked)
    # The shape is the last line: libraries print as well.
    return processes.last_line(processes.printed(done)), out.read_bytes()


def difference(one, other):
    """The largest difference, and the share of values that are equal."""
    if one[0] != other[0]:
        raise Failed(f"the maps have shapes {one[0]} and {other[0]}")
    equal = sum(a == b for a, b in zip(one[1], other[1], strict=True))
    largest = max(abs(a - b) for a, b in zip(one[1], other[1], strict=True))
    return largest, equal / len(one[1])


def compare(setting, name):
    """The row of one model, and whether it is within what is allowed."""
    method = setting.method or MODELS.get(name, "classprobabilitymap")
    model = DETECTORS.get(name, setting.folder) / f"{name}.xml"
    if not model.exists():
        raise Failed(f"{model} is missing")
    images = setting.images
    with tempfile.TemporaryDirectory() as scratch:
        ours, heads = f"{scratch}/ours.xml", None
        report = programs.report([setting.program, model, "-o", ours, "--method", method])
        if name in DETECTORS:
            scales = report["heads"]
            heads = [[scale["layer"] for scale in scales], [scale["anchors"] for scale in scales]]
        theirs = maps(setting.peer_python, model, images, scratch, method, heads)
        here = maps(setting.peer_python, ours, images, scratch)
        now = maps(setting.python, ours, images, scratch)
    row, within = [name, method, theirs[0]], True
    for found in (here, now):
        largest, equal = difference(theirs, found)
        row += [largest, f"{equal:.2%}"]
        within = within and largest <= ALLOWED
    return row, within
