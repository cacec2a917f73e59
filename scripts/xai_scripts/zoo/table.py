"""`docs/zoo.md` from the results."""

from ..common import tables

TEXT = """# Classifier families

Made by `scripts/zoo`: {date}. One model, the smallest, of every timm {timm} module that has a classifier below
130 million parameters, and families by name; random weights, with every vector perturbed so that no part
of the network is trivial. Exported to OpenVINO {openvino} with a batch of 1 (static) and of any size (dynamic),
by the PyTorch front end unless ONNX is given. `xai-insert` with default options, then `xai-verify` on one random
image.

- *form*: the dearest that the head needed ([architecture](architecture.md)); Dense means that all copies were made.
- *outputs*: largest difference between the original's outputs and those of the model with the branch.
- *maps*: largest difference from the definition, of 255; 1 is the truncation to whole numbers.
- *ratio*: inference time with the branch by that without, medians of a short interleaved run.

{summary}

{table}
"""
COLUMNS = (
    "module",
    "model",
    "batch",
    "front end",
    "method",
    "target",
    "form",
    "saliency map",
    "outputs",
    "maps",
    "ratio",
)


def write(path, results, versions, date):
    """Write the table of all results, in the order of the list."""
    rows = "\n".join([tables.head(COLUMNS), *map(row, results)])
    path.write_text(TEXT.format(date=date, summary=summary(results), table=rows, **versions))


def summary(results):
    """Counts by batch and front end, and everything that is not verified."""
    lines = []
    for kind in sorted({(result["front_end"], result["batch"]) for result in results}, reverse=True):
        of_kind = [result for result in results if (result["front_end"], result["batch"]) == kind]
        for listed, what in ((True, "modules"), (False, "further models")):
            part = [result for result in of_kind if (result["module"] != "-") == listed]
            good = sum(result["status"] == "verified" for result in part)
            if part:
                lines.append(f"- {kind[0]}, {kind[1]} batch: {good} of {len(part)} {what} verified.")
    rest = [result for result in results if result["status"] != "verified"]
    if rest:
        lines += ["", "Not verified:", ""]
        lines += [
            f"- {result['model']} ({result['batch']}, {result['front_end']}): {result['status']}. "
            + tables.clean(result.get("message", ""))
            for result in rest
        ]
    return "\n".join(lines)


def row(result):
    """One line of the table."""
    insertion, check = result.get("insertion"), result.get("check")
    cells = [result["module"], result["model"], result["batch"], result["front_end"]]
    if insertion:
        target = insertion["target"]
        form = insertion["lowering"]["form"] or "-"
        if copied := insertion["lowering"]["dense_bytes"]:
            form += f" ({copied / 2**20:.0f} MiB)"
        cells += [insertion["method"], f"`{target['layer']}` {dims(target['shape'])} {target['layout']}", form]
        cells.append(dims(insertion["outputs"][0]["shape"]))
    else:
        cells += ["", "", result["status"], ""]
    if check:
        saliency, cost = check["saliency"], check["cost"]
        cells.append(f"{check['outputs']['largest_difference']:.1e}")
        cells.append(f"{saliency['largest_difference']:.1f}" if saliency else "")
        cells.append(f"{cost['ratio']:.2f}" if cost and cost.get("ratio") else "")
    else:
        cells += ["", "", ""]
    return tables.row(map(tables.clean, cells))


def dims(shape):
    """`[1,3,?]`."""
    return "[" + ",".join("?" if extent is None else str(extent) for extent in shape) + "]"
