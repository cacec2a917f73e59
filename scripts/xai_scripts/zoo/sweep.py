"""Exports, inserts and verifies, model by model."""

import fnmatch
import json
import os
import shutil
import sys
import time
from pathlib import Path

from ..common.processes import finish, last_line, run_worker
from . import choice, results

# Structurally different modules that are exported through ONNX as well.
THROUGH_ONNX = (
    "vision_transformer",
    "deit",
    "beit",
    "swin_transformer",
    "convnext",
    "mobilenetv3",
    "cait",
    "eva",
    "xcit",
    "levit",
    "mobilevit",
    "mlp_mixer",
)


def jobs(arguments, known):
    """(module, model, parameters, front end, batches) of all that is to be run."""
    batches = ("static", "dynamic") if arguments.batch == "both" else (arguments.batch,)
    front_ends = ("torch", "onnx") if arguments.front_end == "all" else (arguments.front_end,)

    def open_(model, batch, front_end):
        found = known.get((model, batch, front_end))
        again = arguments.again or arguments.only or (arguments.retry and found and found["status"] != "verified")
        return found is None or again

    for module, model, parameters in choice.read():
        if arguments.only and not any(fnmatch.fnmatch(model, pattern) for pattern in arguments.only):
            continue
        for front_end in front_ends:
            if front_end == "onnx" and module not in THROUGH_ONNX:
                continue
            wanted = [batch for batch in batches if open_(model, batch, front_end)]
            if wanted:
                yield module, model, parameters, front_end, wanted


def run(arguments, known):
    """Run all jobs, with progress."""
    todo = list(jobs(arguments, known))
    start = time.monotonic()
    for done, (module, model, parameters, front_end, batches) in enumerate(todo):
        folder = arguments.models / front_end
        failure = export(arguments, model, folder, front_end, batches)
        for batch in batches:
            result = {"module": module, "model": model, "batch": batch, "front_end": front_end}
            result |= failure or check(arguments, folder / batch / f"{model}.xml", parameters)
            known[results.key(result)] = result
            results.append(result)
            progress(done, len(todo), time.monotonic() - start, result)
            if not arguments.keep:
                for suffix in (".xml", ".bin"):
                    (folder / batch / model).with_name(model + suffix).unlink(missing_ok=True)
    if not arguments.keep:
        shutil.rmtree(arguments.models, ignore_errors=True)


def progress(done, count, seconds, result):
    """One line for each result."""
    left = seconds / (done + 1) * (count - done - 1) / 60
    about = result.get("message", "") or " ".join(
        str(part)
        for part in (
            result["insertion"]["method"],
            result["insertion"]["lowering"]["form"],
            f"ratio {((result.get('check') or {}).get('cost') or {}).get('ratio') or 0:.2f}",
        )
    )
    name = f"{result['model']} {result['batch']} {result['front_end']}"
    print(f"[{done + 1}/{count}, {left:.0f} min left] {name}: {result['status']} {about}"[:220], flush=True)


def export(arguments, model, folder, front_end, batches):
    """Export in a process of its own; a result where that fails."""
    paths = [folder / batch / f"{model}.xml" for batch in batches]
    if all(path.exists() for path in paths):
        return None
    asked = (model, folder, ",".join(batches), front_end)
    done = run_worker(sys.executable, "zoo.exporting", *asked, limit=arguments.limit)
    if done.returncode == 0:
        return None
    return {"status": "not exported", "message": last_line(done.stderr)}


def check(arguments, original, parameters):
    """Insert and verify."""
    inserted = original.with_name(original.stem + "-xai.xml")
    library = {} if "OPENVINO_LIB" in os.environ else {"OPENVINO_LIB": openvino_folder()}
    try:
        command = [arguments.binaries / "xai-insert", original, "-o", inserted, "--overwrite", "--json"]
        done = finish(command, arguments.limit, library)
        if done.returncode != 0:
            message = done.stderr.strip().replace(str(original), original.name)
            return {"status": "refused" if done.returncode == 1 else "failed", "message": message}
        result = {"insertion": shortened(json.loads(done.stdout))}
        if parameters > choice.LARGEST and not arguments.large:
            return result | {"status": "inserted", "message": "too large to be run in passing"}
        command = [arguments.binaries / "xai-verify", original, inserted, "--json", "--bench", "--samples", "1"]
        done = finish(command, arguments.limit, library)
        if not done.stdout.strip():
            return result | {"status": "not checked", "message": last_line(done.stderr)}
        report = json.loads(done.stdout)
        parts = [report.get(part) or {} for part in ("structure", "outputs", "saliency")]
        problems = [problem for part in parts for problem in part.get("problems", [])]
        status = "verified" if done.returncode == 0 else "wrong" if done.returncode == 1 else "not checked"
        return result | {"status": status, "message": "; ".join(problems[:2]), "check": report}
    finally:
        inserted.unlink(missing_ok=True)
        inserted.with_suffix(".bin").unlink(missing_ok=True)


def shortened(report):
    """The report without each single step."""
    report["lowering"].pop("steps", None)
    return report


def openvino_folder():
    """Where this Python has OpenVINO."""
    import openvino

    return str(Path(openvino.__file__).parent)
