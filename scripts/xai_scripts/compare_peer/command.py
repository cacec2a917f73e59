"""Compare our maps with those of `openvino_xai`, on the same models and images.

    scripts/compare_peer [--models FOLDER] [--peer-python PYTHON] [--python PYTHON] [MODEL...]
    scripts/compare_peer --metrics [--peer-python PYTHON]

With `--metrics` the metrics of `xai-explain` are compared instead: MobileNetV2, the photo of a cat
in the input's size, and three maps, the method's own and two random ones. Every value must be
within 1e-3.

Both insert into the same IR (dynamic batch, which the other asks for). Both results run on the
OpenVINO that the other is bound to (2024.4), ours on the current one as well. Every value of the
u8 maps must be within 1 of 255; the table gives the largest difference and the share of equal
values, first on the same OpenVINO, then across both.

The first run makes environments in .venv-peer (needs Python 3.11) and, unless `--python` is
given, .venv-bench; models are exported to target/bench unless `--models` names a folder that has
them. Where an environment cannot be made this says so and ends with 0: nothing was compared.
"""

import argparse
from pathlib import Path

from ..common import environments, programs, tables
from ..common.processes import Failed, Skipped
from ..export_models import exported
from . import maps, metrics, peer

COLUMNS = ("model", "method", "maps", "largest difference", "equal", "largest, other OpenVINO", "equal, other OpenVINO")


def compare_maps(arguments):
    """Compare all models; the number of those that failed."""
    there = [name for name, folder in maps.DETECTORS.items() if (folder / f"{name}.xml").exists()]
    names = arguments.models or [*maps.MODELS, *there]
    classifiers = [name for name in names if name not in maps.DETECTORS]
    peer_python = arguments.peer_python or peer.interpreter()
    try:
        python = arguments.python or environments.of_fixtures()
        folder = arguments.folder or (exported(python, classifiers, "dynamic") if classifiers else None)
    except Failed as failure:
        raise Skipped(f"the environment or the models could not be made: {failure}") from failure
    program = arguments.binary or programs.build("xai-insert")[0]
    setting = maps.Setting(program, peer_python, python, folder, arguments.images, arguments.method)
    print(tables.head(COLUMNS))
    failures = []
    for name in names:
        try:
            row, within = maps.compare(setting, name)
        except Failed as failure:
            failures.append(f"{name}: {failure}")
            continue
        print(tables.row(row), flush=True)
        if not within:
            failures.append(f"{name}: maps differ by more than {maps.ALLOWED}")
    for failure in failures:
        print(f"failed: {failure}")
    return len(failures)


def compare_metrics(arguments):
    """Compare metrics on the same maps; the number of values that differ too much."""
    peer_python = arguments.peer_python or peer.interpreter()
    return metrics.compare(arguments.binary or programs.build("xai-explain")[0], peer_python)


def main():
    """Read the command line and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="timm names")
    parser.add_argument("--models", dest="folder", type=Path, help="folder with exported models")
    parser.add_argument("--peer-python", help="interpreter with openvino_xai")
    parser.add_argument("--python", help="interpreter with the current OpenVINO")
    parser.add_argument("--binary", type=Path, help="xai-insert; with --metrics xai-explain (default: built here)")
    parser.add_argument("--images", type=int, default=3, help="images for each model")
    parser.add_argument("--method", help="for models that are not in the table")
    parser.add_argument("--metrics", action="store_true", help="compare metrics, not maps")
    arguments = parser.parse_args()
    known = {*maps.MODELS, *maps.DETECTORS}
    unknown = [name for name in arguments.models if name not in known and not arguments.method]
    if unknown:
        parser.error(f"--method is needed for {', '.join(unknown)}")
    try:
        return 1 if (compare_metrics if arguments.metrics else compare_maps)(arguments) else 0
    except Failed as failure:
        print(f"failed: {failure}")
        return 1
    except Skipped as skip:
        print(f"skipped: {skip}")
        return 0
