"""Worker: one network of PyTorch with random weights as OpenVINO IR, in several forms.

Arguments: family, model, folder, forms with commas between them. Prints, as JSON, the size of the input and why a form
could not be had.
"""

import importlib
import json
import sys
import traceback
import warnings
from pathlib import Path

import torch

from ..torch_models.convert import name_ports, save
from ..torch_models.torch_tools import prepare, smooth_images
from .forms import FORMS


def main(family, name, folder, forms):
    """Write `folder/form/name.xml` for each of `forms`."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    source = importlib.import_module(f"{__package__}.sources.{family}")
    size, failures = source.size(name), {}
    for form in filter(None, forms.split(",")):
        try:
            torch.manual_seed(0)
            model = source.build(name)
            images = inputs((2, *size))
            prepare(model, images)
            converted = name_ports(FORMS[form](model, images))
            save(converted, Path(folder) / form / f"{name.replace(':', '_')}.xml")
        except Exception as error:
            failures[form] = f"{type(error).__name__}: {str(error).strip()}"[:600]
            print(traceback.format_exc(), file=sys.stderr)
    print(json.dumps({"size": size, "failures": failures}))


def inputs(shape):
    """Smooth images; patches of some where a network takes those."""
    if len(shape) == 4:
        return smooth_images(shape, seed=1)
    count, patches, size = shape
    side, patch = int(patches**0.5), int((size // 3) ** 0.5)
    images = smooth_images((count, 3, side * patch, side * patch), seed=1)
    cut = images.unfold(2, patch, patch).unfold(3, patch, patch).permute(0, 2, 3, 4, 5, 1)
    return cut.reshape(shape).contiguous()


if __name__ == "__main__":
    main(*sys.argv[1:])
