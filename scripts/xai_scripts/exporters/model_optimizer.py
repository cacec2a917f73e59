"""Worker: the ONNX file of timm's, by Model Optimizer of 2023, with mean, scale and the order of channels put inside."""

import subprocess
import sys
from pathlib import Path

from . import worker


def main():
    folder, photo = worker.arguments()
    convert = [Path(sys.executable).with_name("mo"), "--input_model", folder / "timm" / "model.onnx"]
    convert += ["--mean_values", "[123.675,116.28,103.53]", "--scale_values", "[58.395,57.12,57.375]"]
    convert += ["--reverse_input_channels", "--output_dir", folder / "model_optimizer", "--model_name", "model"]
    subprocess.run(convert, check=True, stdout=sys.stderr)
    worker.made(folder / "model_optimizer" / "model.xml", photo)


if __name__ == "__main__":
    main()
