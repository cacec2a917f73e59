"""Worker: writes the outputs of models, each an .npz, which is empty where a model does not load.

Arguments: the folder to write to, and the models. Inputs are the same numbers under every version of NumPy.
"""

import sys
from pathlib import Path

import numpy as np
import openvino as ov

# Of dimensions that are dynamic.
SIZES = (2, 3, 64, 96)


def noise(index, port):
    """The input of that index."""
    dims = enumerate(list(port.partial_shape))
    shape = [SIZES[axis] if dim.is_dynamic else dim.get_length() for axis, dim in dims]
    random = np.random.RandomState(index)
    if port.element_type == ov.Type.u8:
        return random.randint(0, 256, size=shape).astype(np.uint8)
    return random.normal(size=shape).astype(np.float32)


def outputs(core, path):
    """Outputs of a model by name."""
    compiled = core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled([noise(index, port) for index, port in enumerate(compiled.inputs)])
    return {port.any_name: found[port] for port in compiled.outputs}


def main(folder, *models):
    """Run every model."""
    core = ov.Core()
    for path in map(Path, models):
        found = {}
        try:
            found = outputs(core, path)
        except RuntimeError as error:
            print(path.stem, str(error).strip().splitlines()[-1], file=sys.stderr)
        np.savez(Path(folder) / (path.stem + ".npz"), **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
