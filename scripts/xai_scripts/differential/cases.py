"""One case: a model and options, inserted both ways, and what its checks say."""

import tempfile
from pathlib import Path

import numpy as np
import openvino as ov
import xai_insert

from .models import model

# Differences of two maps that both are right: a step of each, and one of rounding between them.
MOST_STEPS = 3


def options(random, found, classes):
    """Options at random, for a model with so many classes."""
    chosen = {"targets": "all"}
    if random.random() < 0.5:
        names = [node.get_friendly_name() for node in found.get_ordered_ops() if node.get_type_name() != "Constant"]
        chosen["target_layer"] = names[random.integers(len(names))]
    elif random.random() < 0.3:
        chosen["block"] = int(random.integers(1, 4))
    if random.random() < 0.15:
        chosen["method"] = "activationmap"
    if random.random() < 0.2:
        chosen["mask"] = "single"
    if random.random() < 0.2:
        chosen["class_token"] = False
    if random.random() < 0.2:
        chosen["targets"] = f"top{random.integers(1, classes + 1)}"
    elif random.random() < 0.2:
        chosen["targets"] = ",".join(str(c) for c in random.permutation(classes)[: random.integers(1, classes + 1)])
    if random.random() < 0.15:
        chosen["feature_vector"] = True
    return chosen


def run(seed, case, keep=None):
    """Tries a case; what became of it, and what was found."""
    random = np.random.default_rng([seed, case])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.xml")
        try:
            found, kind, classes = model(random)
            ov.save_model(found, path, compress_to_fp16=bool(random.random() < 0.3))
        except RuntimeError as error:
            return "not built", str(error).splitlines()[-1]
        chosen = options(random, found, classes)
        outcome, what = checked(path, chosen)
        if outcome == "found" and keep is not None:
            place = Path(keep, f"{seed}_{case}")
            place.mkdir(parents=True, exist_ok=True)
            for file in Path(folder).iterdir():
                place.joinpath(file.name).write_bytes(file.read_bytes())
    return outcome, f"{kind}, {chosen}: {what}" if what else kind


def checked(path, chosen):
    """Inserts both ways and verifies; what became of it, and what is wrong."""
    maps = {}
    for lowering in ("auto", "dense"):
        out = path.with_name(f"{lowering}.xml")
        try:
            xai_insert.insert(path, lowering=lowering, **chosen).write(out)
        except (xai_insert.RefusedError, xai_insert.UsageError) as refusal:
            if lowering == "auto":
                return "refused", str(refusal).splitlines()[-1][-160:]
            continue
        report = xai_insert.verify(path, out, samples=1)
        checks = report.checks
        wrong = [name for name in ("structure", "outputs", "saliency", "feature_vector", "meaning") if name in checks]
        wrong = [name for name in wrong if checks[name].outcome == "failed"]
        # OpenVINO 2026.4.1 cannot compile some layers of MatMul, Mish and MatMul, in models with and without a branch.
        if "the original does not run" in str(report) or "not available for Mish" in str(report):
            return "not run", None
        if wrong or checks["outputs"].outcome != "passed":
            return "found", f"{lowering}: {wrong or 'outputs'}\n{report}"
        if checks["outputs"].figures["largest_relative_difference"] > 1e-5:
            return "found", f"{lowering}: outputs differ\n{report}"
        flat = checks["saliency"].figures.get("flat", 0) == checks["saliency"].figures.get("maps", 0)
        maps[lowering] = None if flat else ran(out)
    if len(maps) < 2:
        return "one way", None
    if any(found is None for found in maps.values()):
        return "flat", None
    off = np.abs(maps["auto"] - maps["dense"])
    # A step that is rounded otherwise in a flat map of many is no finding; the definition has judged each.
    if np.median(off.max(axis=(-2, -1))) > MOST_STEPS:
        return "found", f"auto and dense differ by {off.max()}"
    return "compared", None


def ran(path):
    """The maps of a model on one random image, in single precision."""
    compiled = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    shape = [dim.get_length() if dim.is_static else 2 for dim in compiled.input(0).get_partial_shape()]
    image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return np.array(compiled(image)[compiled.output("saliency_map")]).astype(float)
