"""`docs/zoo` from the results: counts, and a table for each family."""

from ..common import tables
from . import catalogue
from .sources import timm

COUNTS = """# Classifiers as people export them

Made by `scripts/zoo`: {date}. OpenVINO 2026.4.1, PyTorch 2.15.0, timm 1.0.31, torchvision 0.29.2, transformers 5.5.4,
optimum-intel 2.2.0, Keras 3.15.1. Random weights, with every vector perturbed so that no part of a network is trivial.
`xai-insert` with default options unless a table says which, then `xai-verify` on one random image (two where the batch is
open). *Verified*: the outputs are those of the original, each map is what its definition says, its scores are the
model's, and positions lie where the record says. *Maps alone*: all but the last, which random weights may hide: features of
a network that mixes all positions change everywhere, whatever is changed in the image.

{counts}

- *trace*: `ov.convert_model(model, example_input=x)`, with `input=` for a static shape or a dynamic batch, without for none:
  `[?,3,?,?]`.
- *ONNX, dynamo*: `torch.onnx.export(model, x, dynamo=True)`, the default of today's PyTorch; *older exporter*: `dynamo=False`.
- *torch.export*: `ov.convert_model(torch.export.export(model, (x,)))`, as it is: the file says `[?,3,?,?]` and holds for one
  image of that size.
- *SavedModel*: `model.export(folder)` of Keras, read by the TensorFlow front end.
- *optimum-cli*: `optimum-cli export openvino --task image-classification`, without a further option.

Tables: {tables}.

{rest}"""
TITLE = {
    "timm": "timm's classifier families",
    "transformers": "Image classifiers of transformers",
    "torchvision": "Classifiers of torchvision",
    "keras": "Classifiers of Keras",
    "optimum": "Image classifiers by optimum-cli",
}
ABOUT = {
    "timm": "One model, the smallest, of every module that has a classifier below 130 million parameters, and families by "
    "name (without a module).",
    "transformers": "Every classifier of images, with three layers of width 96 where the configuration has such numbers, "
    "and 37 classes.",
    "torchvision": "The smallest of every module, and what differs within one.",
    "keras": "The smallest of every family of keras.applications with 37 classes; `vit_*` are transformers of "
    "`keras.layers.MultiHeadAttention`.",
    "optimum": "The networks of [transformers](transformers.md), saved and exported.",
}
TABLE = """# {title}

Made by `scripts/zoo`: {date}; [what was done, and all counts](README.md). {about}

- *form*: the dearest that the head needed ([architecture](../architecture.md)); Dense means that all copies were made.
- *outputs*: largest difference between the original's outputs and those of the model with the branch.
- *maps*: largest difference from the definition, of 255; 1 is the truncation to whole numbers.
{ratio}
{counts}

{table}
"""
RATIO = "- *ratio*: inference time with the branch by that without, medians of a short interleaved run, where measured.\n"


def write(folder, found, date):
    """Write a page for each family and one with the counts."""
    folder.mkdir(exist_ok=True)
    for family, rows in found.items():
        measured = any(ratio(row) for row in rows)
        columns = ["model", "export", "method", "target", "form", "saliency map", "outputs", "maps"]
        columns = (["module"] if family == "timm" else []) + columns + (["ratio"] if measured else [])
        text = TABLE.format(
            title=TITLE[family],
            date=date,
            about=ABOUT[family],
            ratio=RATIO if measured else "",
            counts=counts({family: rows}),
            table="\n".join([tables.head(columns), *(line(row, measured) for row in rows)]),
        )
        (folder / f"{family}.md").write_text(text)
    pages = ", ".join(f"[{family}]({family}.md)" for family in found)
    text = COUNTS.format(date=date, counts=counts(found), tables=pages, rest=rest(found))
    (folder / "README.md").write_text(text)


def counts(found):
    """How many are verified, by family and form."""
    lines = [tables.head(("family", "export", "exported", "inserted", "verified", "maps alone"))]
    for family, rows in found.items():
        for form in catalogue.TITLES:
            of = [row for row in rows if row["form"] == form]
            if of:
                exported = [row for row in of if row["status"] != "not exported"]
                inserted = [row for row in exported if "insertion" in row]
                verified = [row for row in inserted if row["status"] == "verified"]
                alone = [row for row in inserted if maps_alone(row)]
                cells = (family, catalogue.TITLES[form], f"{len(exported)} of {len(of)}", len(inserted))
                cells += (len(verified), len(alone) or "")
                lines.append(tables.row(map(str, cells)))
    return "\n".join(lines)


def maps_alone(row):
    """Whether all is verified but where positions lie."""
    check = row.get("check") or {}
    parts = [(check.get(part) or {}).get("outcome") for part in ("structure", "outputs", "saliency", "meaning")]
    return row["status"] != "verified" and all(part == "passed" for part in parts)


def rest(found):
    """Everything that is not verified, and why."""
    rows = [row for rows in found.values() for row in rows if row["status"] != "verified"]
    if not rows:
        return ""
    lines = ["## Not verified", ""]
    for row in rows:
        form = catalogue.TITLES[row["form"]]
        # What a program says of a model, its reasons without what it advises.
        message = tables.clean(row.get("message", ""))[:300]
        status = "maps alone" if maps_alone(row) else row["status"]
        lines.append(f"- {row['family']}, {row['model']} ({form}): {status}. {message}")
    return "\n".join(lines) + "\n"


def ratio(row):
    """What the branch costs, where that was measured."""
    return ((row.get("check") or {}).get("cost") or {}).get("ratio")


def line(row, measured):
    """One line of a table."""
    insertion, check = row.get("insertion"), row.get("check")
    cells = [timm.modules()[row["model"]][0]] if row["family"] == "timm" else []
    told = f" (`{row['options']}`)" if row.get("options") else ""
    cells += [row["model"] + told, catalogue.TITLES[row["form"]]]
    if insertion:
        target = insertion["target"]
        form = insertion["lowering"]["form"] or "-"
        if copied := insertion["lowering"]["dense_bytes"]:
            form += f" ({copied / 2**20:.0f} MiB)"
        cells += [insertion["method"], f"`{target['layer']}` {dims(target['shape'])} {target['layout']}", form]
        cells.append(dims(insertion["outputs"][0]["shape"]))
    else:
        cells += ["", "", row["status"], ""]
    if check and check.get("outputs"):
        saliency = check.get("saliency")
        difference = check["outputs"].get("largest_difference")
        cells.append(f"{difference:.1e}" if difference is not None else "")
        difference = (saliency or {}).get("largest_difference")
        cells.append(f"{difference:.1f}" if difference is not None else "")
    else:
        cells += ["", ""]
    cells += [f"{ratio(row):.2f}" if ratio(row) else ""] if measured else []
    return tables.row(map(tables.clean, cells))


def dims(shape):
    """`[1,3,?]`."""
    return "[" + ",".join("?" if extent is None else str(extent) for extent in shape) + "]"
