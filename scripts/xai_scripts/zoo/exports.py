"""Exports a model in all forms that are not there yet, in a process of its own, and remembers what failed."""

import json

from ..common.processes import last_line, run_worker
from . import catalogue


def made(folder, family, model, forms, limit):
    """What is known of a model's exports: the size of its input, and why a form could not be had."""
    index = folder / family / "exports" / f"{catalogue.stem(model)}.json"
    known = json.loads(index.read_text()) if index.exists() else {"size": None, "failures": {}}
    missing = [
        form
        for form in forms
        if form not in known["failures"] and not catalogue.file(folder, family, form, model).exists()
    ]
    if missing or known["size"] is None:
        worker = {"keras": "zoo.exporting_keras", "optimum": "zoo.exporting_optimum"}.get(family, "zoo.exporting")
        asked = (family, model, folder / family, ",".join(missing))
        done = run_worker(catalogue.interpreter(family), worker, *asked, limit=limit)
        if done.returncode == 0:
            found = json.loads(last_line(done.stdout))
            known = {"size": found["size"], "failures": known["failures"] | found["failures"]}
        else:
            known["failures"] |= {form: last_line(done.stderr) for form in missing}
        index.parent.mkdir(parents=True, exist_ok=True)
        index.write_text(json.dumps(known))
    return known
