"""Worker in the environment of `openvino_xai`.

Arguments: `shrink`, `enlarge` or `measure`, then what that function takes.
"""

import json
import sys

import cv2
import numpy
import openvino
import openvino_xai
from openvino_xai.explainer import ExplainMode
from openvino_xai.metrics import ADCC, InsertionDeletionAUC

from ..common import imagenet, paths
from .metrics import CAT, METRICS


def shrink(photo, out):
    """Write a photo in the input's size."""
    cv2.imwrite(out, cv2.resize(cv2.imread(photo), (224, 224)))


def enlarge(own, *out):
    """Write the method's own map and random ones in the input's size.

    Cubic, so that no two pixels are equal: in which order equals come, theirs leaves open.
    """
    random = [numpy.random.RandomState(seed).rand(7, 7) for seed in range(1, len(out))]
    coarse = [numpy.load(own), *random]
    for path, values in zip(out, coarse, strict=True):
        whole = cv2.resize(values.astype(numpy.float32), (224, 224), interpolation=cv2.INTER_CUBIC)
        numpy.save(path, whole)


def measure(image, *maps):
    """Print theirs for each map, a JSON list on the last line."""
    compile_model = openvino.Core.compile_model

    def in_f32(core, model, device_name="CPU", config=None):
        settings = {**(config or {}), "INFERENCE_PRECISION_HINT": "f32"}
        return compile_model(core, model, device_name, settings)

    # Theirs compiles without settings, and machines with bf16 units then round.
    openvino.Core.compile_model = in_f32

    def preprocess(pixels):
        return ((pixels - numpy.array(imagenet.MEAN)) / imagenet.SCALE).transpose(2, 0, 1)[None].astype(numpy.float32)

    def postprocess(outputs):
        logits = outputs["logits"].astype(numpy.float64)
        return numpy.exp(logits) / numpy.exp(logits).sum()

    model = openvino.Core().read_model(paths.fixture("mobilenet_v2"))
    pixels = cv2.cvtColor(cv2.imread(image), cv2.COLOR_BGR2RGB).astype(numpy.float32)
    explainer = openvino_xai.Explainer(
        model,
        task=openvino_xai.Task.CLASSIFICATION,
        preprocess_fn=preprocess,
        explain_mode=ExplainMode.WHITEBOX,
    )
    auc = InsertionDeletionAUC(model, preprocess, postprocess)
    adcc = ADCC(model, preprocess, postprocess, explainer)
    found = []
    for path in maps:
        whole = numpy.load(path)
        unit = (whole - whole.min()) / (whole.max() - whole.min())
        values = {**auc(unit, CAT, pixels), **adcc(unit, CAT, pixels)}
        found.append({name: float(values[name]) for name in METRICS})
    print(json.dumps(found))


if __name__ == "__main__":
    {"shrink": shrink, "enlarge": enlarge, "measure": measure}[sys.argv[1]](*sys.argv[2:])
