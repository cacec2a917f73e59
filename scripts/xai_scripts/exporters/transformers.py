"""Worker: a network of transformers, by optimum-intel's `optimum-cli export openvino`."""

import subprocess
import sys
from pathlib import Path

from transformers import MobileNetV2Config, MobileNetV2ForImageClassification, MobileNetV2ImageProcessor

from . import weights, worker


def main():
    folder, photo = worker.arguments()
    source, out = folder / "transformers" / "source", folder / "transformers" / "model"
    config = MobileNetV2Config(tf_padding=False, num_labels=1000)
    weights.filled(MobileNetV2ForImageClassification(config)).save_pretrained(source)
    mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    MobileNetV2ImageProcessor(image_mean=mean, image_std=deviation).save_pretrained(source)
    export = [Path(sys.executable).with_name("optimum-cli"), "export", "openvino"]
    subprocess.run([*export, "--task", "image-classification", "-m", source, out], check=True, stdout=sys.stderr)
    worker.made(out / "openvino_model.xml", photo)


if __name__ == "__main__":
    main()
