"""Exports, inserts and verifies, model by model."""

import fnmatch
import json
import os
import time
from pathlib import Path

from ..common.processes import finish, last_line
from . import catalogue, exports, results


def jobs(arguments, known):
    """(family, model, forms) of all that is to be run."""

    def open_(family, model, form):
        found = known.get((family, model, form))
        again = arguments.again or (arguments.retry and found and found["status"] != "verified")
        return found is None or again

    for family, models in catalogue.families().items():
        if arguments.family and family not in arguments.family:
            continue
        for model, forms in models.items():
            if arguments.only and not any(fnmatch.fnmatch(model, pattern) for pattern in arguments.only):
                continue
            wanted = [form for form in forms if not arguments.form or form in arguments.form]
            wanted = [form for form in wanted if arguments.only or open_(family, model, form)]
            if arguments.kept:
                wanted = [
                    form for form in wanted if catalogue.file(arguments.models, family, form, model).exists()
                ]
            if wanted:
                yield family, model, wanted


def run(arguments, known):
    """Run all jobs, with progress."""
    todo = list(jobs(arguments, known))
    start = time.monotonic()
    for done, (family, model, forms) in enumerate(todo):
        made = exports.made(arguments.models, family, model, forms, arguments.limit)
        for form in forms:
            result = {"family": family, "model": model, "form": form}
            path = catalogue.file(arguments.models, family, form, model)
            if not path.exists():
                result |= {"status": "not exported", "message": made["failures"].get(form, "no file")}
            else:
                result |= check(arguments, path, result, made["size"])
            known[results.key(result)] = result
            results.append(result)
            progress(done, len(todo), time.monotonic() - start, result)
            if arguments.discard:
                for suffix in (".xml", ".bin"):
                    path.with_suffix(suffix).unlink(missing_ok=True)


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
    name = f"{result['family']} {result['model']} {result['form']}"
    print(f"[{done + 1}/{count}, {left:.0f} min left] {name}: {result['status']} {about}"[:220], flush=True)


def check(arguments, original, result, size):
    """Insert and verify."""
    inserted = original.with_name(original.stem + "-xai.xml")
    library = {} if "OPENVINO_LIB" in os.environ else {"OPENVINO_LIB": openvino_folder()}
    told = catalogue.options(result["family"], result["model"], result["form"])
    found = {"options": " ".join(told)} if told else {}
    try:
        command = [arguments.binaries / "xai-insert", original, "-o", inserted, "--overwrite", "--json", *told]
        done = finish(command, arguments.limit, library)
        if done.returncode != 0:
            message = done.stderr.strip().replace(str(original), original.name)
            return found | {"status": "refused" if done.returncode == 1 else "failed", "message": message}
        found["insertion"] = shortened(json.loads(done.stdout))
        command = [arguments.binaries / "xai-verify", original, inserted, "--json", "--samples", "1"]
        command += ["--bench"] if arguments.bench else []
        if shape := catalogue.shape(result["form"], size):
            command += ["--shape", "[" + ",".join(map(str, shape)) + "]"]
        done = finish(command, arguments.limit, library)
        if not done.stdout.strip():
            return found | {"status": "not checked", "message": last_line(done.stderr)}
        report = json.loads(done.stdout)
        parts = [report.get(part) or {} for part in ("structure", "outputs", "saliency", "meaning", "place")]
        problems = [problem for part in parts for problem in part.get("problems", [])]
        status = {0: "verified", 1: "wrong"}.get(done.returncode, "not checked")
        message = "; ".join(problems[:2]).replace(f"{original.parent.resolve()}/", "")
        return found | {"status": status, "message": message, "check": report}
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
