"""Worker: one Keras classifier with random weights as a SavedModel, converted with and without a shape.

Arguments as of `exporting.py`.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import openvino as ov

from .sources import keras as source


def main(_, name, folder, forms):
    """Write `folder/form/name.xml` for each of `forms`."""
    import keras

    keras.utils.set_random_seed(0)
    model = source.build(name)
    perturb(model)
    size, failures = list(model.inputs[0].shape[1:]), {}
    with tempfile.TemporaryDirectory() as place:
        model.export(place, verbose=False)
        for form in filter(None, forms.split(",")):
            try:
                given = {"input": [ov.PartialShape([1, *size])]} if form == "saved_static" else {}
                path = Path(folder) / form / f"{name}.xml"
                path.parent.mkdir(parents=True, exist_ok=True)
                ov.save_model(ov.convert_model(place, **given), path)
            except Exception as error:
                failures[form] = f"{type(error).__name__}: {str(error).strip()}"[:600]
    print(json.dumps({"size": size, "failures": failures}))


def perturb(model):
    """No part of the network stays trivial: norms with statistics, biases that are not zero, logits that differ."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        for variable in layer.weights:
            value = variable.numpy()
            if value.dtype.kind != "f" or value.ndim > 1:
                continue
            noise = rng.normal(size=value.shape).astype(value.dtype)
            spread = "variance" in variable.name
            variable.assign(value * (0.8 + 0.4 * np.abs(noise)) if spread else value + 0.2 * noise)


if __name__ == "__main__":
    main(*sys.argv[1:])
