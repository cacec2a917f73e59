"""What every written fixture must satisfy, whatever made it."""

import re

import numpy as np
import openvino as ov

from .torch_tools import smooth_images

MACHINE_PATH = re.compile(r"/(tmp|home|root|usr|opt|var|work|Users)/|[A-Za-z]:\\|site-packages")
DYNAMIC_BATCH = 2
DYNAMIC_SIZES = (32, 48)
SAMPLES = 4


def check_text(path):
    """No path of the machine that made the file may stay in it."""
    found = MACHINE_PATH.search(path.read_text(encoding="utf-8"))
    if found:
        raise AssertionError(f"{path.name} contains a machine path near {found.group()!r}")


def check_runs(path):
    """Every output must be finite and must differ from input to input, and within the batch."""
    compiled = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    runs = [compiled(random_inputs(compiled.inputs, seed)) for seed in range(SAMPLES)]
    for port in compiled.outputs:
        values = np.concatenate([run[port] for run in runs]).astype(np.float64)
        name = f"{path.name}: output {port.get_any_name()}"
        if not np.isfinite(values).all():
            raise AssertionError(f"{name} is not finite")
        if values.std(axis=0).max() < 0.02 * np.abs(values).max():
            raise AssertionError(f"{name} hardly depends on the input")


def random_inputs(ports, seed):
    """One array per input: smooth images for those of rank 4, noise for the others."""
    return [_random_input(port, seed) for port in ports]


def _random_input(port, seed):
    shape = port.partial_shape
    if shape.rank.get_length() != 4:
        fixed = [dim.get_length() if dim.is_static else DYNAMIC_BATCH for dim in shape]
        return np.random.default_rng(seed).standard_normal(fixed).astype(np.float32)
    defaults = (DYNAMIC_BATCH, 3, *DYNAMIC_SIZES)
    sizes = [
        dim.get_length() if dim.is_static else size
        for dim, size in zip(shape, defaults, strict=True)
    ]
    channels_last = sizes[3] == 3
    if channels_last:
        sizes = [sizes[0], sizes[3], sizes[1], sizes[2]]
    image = smooth_images(sizes, seed).numpy()
    if channels_last:
        image = image.transpose(0, 2, 3, 1)
    if port.element_type == ov.Type.u8:
        return np.clip(128 + 50 * image, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(image)
