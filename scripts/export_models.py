#!/usr/bin/env python3
"""Export timm classifiers to OpenVINO IR for benchmarks.

Weights are random, seeded and perturbed like those of the fixtures: times and graph structure are
those of the trained models, no download is needed.

    scripts/export_models.py --out DIR --batch static|dynamic NAME...
"""

import argparse
from pathlib import Path

import timm
import torch

from fixtures_lib.convert import convert_torch, name_ports, save
from fixtures_lib.torch_tools import prepare, smooth_images


def export(name, out, batch):
    """Write `out/name.xml`, at the model's default input size."""
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False)
    size = model.pretrained_cfg["input_size"]
    images = smooth_images((2, *size), seed=1)
    prepare(model, images)
    shape = [1 if batch == "static" else -1, *size]
    converted = name_ports(convert_torch(model, [images[:1]], [shape]))
    save(converted, Path(out) / f"{name}.xml")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", metavar="NAME", help="timm model names")
    parser.add_argument("--out", required=True, help="folder to write to")
    parser.add_argument("--batch", choices=("static", "dynamic"), default="static")
    arguments = parser.parse_args()
    for name in arguments.names:
        export(name, arguments.out, arguments.batch)
        print(f"{arguments.out}/{name}.xml")


if __name__ == "__main__":
    main()
