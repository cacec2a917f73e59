"""Worker: one classifier of transformers as `optimum-cli export openvino` writes it.

Arguments as of `exporting.py`.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from ..torch_models.torch_tools import prepare, smooth_images
from .sources import transformers as source


def main(_, name, folder, forms):
    """Write `folder/optimum/name.xml`."""
    size, failures = source.size(name), {}
    target = Path(folder) / "optimum" / f"{name.replace(':', '_')}.xml"
    if forms:
        try:
            torch.manual_seed(0)
            wrapped = source.build(name)
            prepare(wrapped, smooth_images((2, *size), seed=1))
            with tempfile.TemporaryDirectory() as place:
                written, made = Path(place) / "network", Path(place) / "made"
                wrapped.model.save_pretrained(written)
                processor(size[-1]).save_pretrained(written)
                command = [Path(sys.executable).with_name("optimum-cli"), "export", "openvino", "-m", written]
                command += ["--task", "image-classification", made]
                done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
                if done.returncode != 0:
                    raise RuntimeError(done.stderr.strip().splitlines()[-1])
                target.parent.mkdir(parents=True, exist_ok=True)
                for suffix in (".xml", ".bin"):
                    shutil.move(made / f"openvino_model{suffix}", target.with_suffix(suffix))
        except Exception as error:
            failures["optimum"] = f"{type(error).__name__}: {str(error).strip()}"[:600]
    print(json.dumps({"size": size, "failures": failures}))


def processor(side):
    """What optimum asks for the size of images."""
    from transformers import ViTImageProcessor

    return ViTImageProcessor(size={"height": side, "width": side})


if __name__ == "__main__":
    main(*sys.argv[1:])
