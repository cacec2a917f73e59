"""Run what xai-insert writes on several versions of OpenVINO, and compare the maps.

    scripts/compat [FIXTURE...]

The same files are loaded by each version, whose wheel goes into an environment of its own (.venv-compat-VERSION;
2023.3 needs Python 3.11 or earlier: name one in PYTHON). Every output is compared with that of the newest version.
Scores of single precision may differ by 1e-4 of the largest, maps in u8 by 1 of 255, where truncation falls to
the other side. Ends with 1 where one differs by more, or does not load although its original does.

Where a version is known to spoil a value that is read twice, the original has to show that without a branch, and
the map has to be right where nothing is computed in place.
"""

import argparse
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

from ..common import paths, processes, programs
from ..common.environments import environment
from ..common.processes import Failed, run_worker

VERSIONS = ("2026.4.1", "2025.4.1", "2024.6.0", "2023.3.0")
# A convolutional network of real size, the forms of heads and masks, INT8, dynamic shapes, top-k; detectors.
FIXTURES = {
    "mobilenet_v2": [],
    "cnn_dynamic_hw": [],
    "cnn_batch4": ["--targets", "top2"],
    "resnet_int8": [],
    "convnext_head": [],
    "swin_tiny_like": [],
    "vgg_conv7": [],
    "late_conv_head": ["--method", "activationmap"],
    "vit_cls_dynamic": [],
    "token_score_bias": [],
    "gap_vit": ["--method", "vitreciprocam"],
    "det_ssd_nhwc": [],
    "det_ssd_labels": [],
    "det_yolox_nms": ["--feature-vector"],
}
TOLERANCE = 1e-4
# With static shapes, Softmax over joined scores is computed in place, and so are joining and reshaping: class maps
# have been overwritten when the branch reads them.
KNOWN = {("2023.3.0", "det_ssd_labels"): "__module.scores.0/aten::_convolution/Add"}


def interpreter(version):
    """The interpreter of an environment with that version."""
    return environment(f"compat-{version}", f"openvino=={version}", base=os.environ.get("PYTHON", sys.executable))


def insert(names, folder):
    """Originals and results in u8 and in f32 without scaling, by name."""
    [program] = programs.build("xai-insert", profile="debug")
    files = {}
    for name in names:
        source = paths.fixture(name)
        raw = ["--no-scaling", "--saliency-type", "f32"]
        for kind, options in (("u8", []), ("f32", raw)):
            path = folder / f"{name}_{kind}.xml"
            processes.output([program, source, "-o", path, *FIXTURES.get(name, []), *options])
            files[f"{name}_{kind}"] = (source, path)
    return files


def run(python, models, folder):
    """Outputs of each model by that interpreter's OpenVINO; without any where it does not load."""
    import numpy as np

    folder.mkdir(exist_ok=True)
    done = run_worker(python, "compat.outputs", folder, *models)
    print(done.stderr, end="", file=sys.stderr)
    processes.printed(done)
    return {path.stem: dict(np.load(folder / f"{path.stem}.npz")) for path in models}


def difference(expected, found):
    """Largest difference: of u8 in steps, else as a share of the largest value; and whether that is too much."""
    import numpy as np

    if expected.shape != found.shape or expected.dtype != found.dtype:
        return f"{found.dtype}{list(found.shape)}", True
    if expected.dtype == np.uint8:
        steps = np.abs(expected.astype(int) - found.astype(int))
        return f"{steps.max()} of 255", steps.max() > 1
    share = np.abs(expected - found).max() / max(np.abs(expected).max(), 1e-30)
    return f"{share:.0e}", not share <= TOLERANCE


def spoiled(version, source, path, expected):
    """Whether the difference is known: that version spoils the original as well, and not what has a dynamic batch."""
    import numpy as np

    layer = KNOWN.get((version, source.stem))
    if layer is None:
        return False
    out = path.with_suffix(".npy")
    done = run_worker(interpreter(version), "compat.witness", source, layer, path, out)
    return done.returncode == 3 and not difference(expected, np.load(out))[1]


def judge(version, expected, found, files, originals):
    """A row for each model; whether all is well."""
    good = True
    for name, (source, path) in files.items():
        outputs = found[path.stem]
        if not outputs:
            loads = bool(originals[source.stem])
            good &= not loads
            print(f"{version:9} {name:24} " + ("DOES NOT LOAD" if loads else "original does not load"))
            continue
        cells = []
        for output, values in expected[path.stem].items():
            text, bad = difference(values, outputs[output]) if output in outputs else ("missing", True)
            known = bad and output == "saliency_map" and spoiled(version, source, path, values)
            good &= known or not bad
            cells.append(f"{output} {text}" + (" KNOWN" if known else " FAILED" if bad else ""))
        print(f"{version:9} {name:24} {', '.join(cells)}", flush=True)
    return good


def compare(names, pythons, folder):
    """Compare all versions with the newest; whether all is well."""
    newest = VERSIONS[0]
    files = insert(names, folder)
    results = [path for _, path in files.values()]
    sources = sorted({source for source, _ in files.values()})
    expected = run(pythons[newest], results, folder / newest)
    missing = [path.stem for path in results if "saliency_map" not in expected[path.stem]]
    if missing:
        raise Failed(f"no maps on OpenVINO {newest}: {', '.join(missing)}")
    good = True
    for version in VERSIONS[1:]:
        found = run(pythons[version], results, folder / version)
        originals = run(pythons[version], sources, folder / f"{version}-originals")
        good &= judge(version, expected, found, files, originals)
    return good


def main():
    """Read the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fixtures", nargs="*", metavar="FIXTURE", help="names (default: a choice of all forms)")
    names = parser.parse_args().fixtures or list(FIXTURES)
    pythons = {version: interpreter(version) for version in VERSIONS}
    if importlib.util.find_spec("numpy") is None:
        # OpenVINO has brought it.
        python = pythons[VERSIONS[0]]
        os.execv(python, [python, paths.SCRIPTS / "compat", *sys.argv[1:]])
    with tempfile.TemporaryDirectory() as folder:
        good = compare(names, pythons, Path(folder))
    print("all the same, but for what is known" if good else "differences, see above")
    return int(not good)
