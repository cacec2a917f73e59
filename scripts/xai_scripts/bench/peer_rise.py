"""Worker: prints how many masks RISE of `openvino_xai` runs in a second, one mask at a time. Argument: the model."""

import sys
import time

import numpy as np
import openvino as ov
from openvino_xai.methods import RISE


def main(path):
    """The difference of two runs leaves out loading and compiling."""
    model = ov.Core().read_model(path)
    rise = RISE(model, lambda outputs: outputs["logits"], device_name="CPU")
    image = np.random.RandomState(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
    times = []
    for masks in (50, 350):
        start = time.perf_counter()
        rise.generate_saliency_map(image, target_indices=[285], num_masks=masks, num_cells=8)
        times.append(time.perf_counter() - start)
    print(300 / (times[1] - times[0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
