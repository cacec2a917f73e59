"""Models with seeded weights at their default input size."""

import torch

from .torch_tools import prepare, smooth_images


def seeded(make):
    """The model that `make` builds, prepared, and two smooth images of the size that it wants.

    The model has timm's `pretrained_cfg` with `input_size`, (channels, height, width).
    """
    torch.manual_seed(0)
    model = make()
    images = smooth_images((2, *model.pretrained_cfg["input_size"]), seed=1)
    prepare(model, images)
    return model, images


def batched(images, batch):
    """The shape to convert for: of one image where `batch` is "static", of any number where it is "dynamic"."""
    return [1 if batch == "static" else -1, *images.shape[1:]]
