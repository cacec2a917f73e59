"""Worker: ends with 3 where a layer's value depends on whether the original's outputs are computed beside it.

It writes the map of the model with a dynamic batch, of which nothing is computed in place.
Arguments: the original, the layer, the model with the branch, the .npy to write.
"""

import sys

import numpy as np
import openvino as ov


def last(core, model):
    """The last output for a fixed image."""
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    shape = [1, *(dim.get_length() for dim in list(compiled.input(0).partial_shape)[1:])]
    image = np.random.RandomState(0).normal(size=shape).astype(np.float32)
    return compiled([image])[compiled.outputs[-1]].copy()


def main(source, layer, path, out):
    """The layer alone, the layer beside the outputs, the map."""
    core = ov.Core()
    model = core.read_model(source)
    value = next(op for op in model.get_ops() if op.get_friendly_name() == layer).output(0)
    alone = last(core, ov.Model([value], model.get_parameters()))
    model.add_outputs([value])
    beside = last(core, model)
    explained = core.read_model(path)
    explained.reshape([-1, *list(explained.input(0).partial_shape)[1:]])
    np.save(out, last(core, ov.Model([explained.output("saliency_map")], explained.get_parameters())))
    return 3 if np.abs(alone - beside).max() > 0.01 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
