#!/usr/bin/env python3
"""Export timm classifiers, and a detector like YOLOX, to OpenVINO IR for benchmarks.

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


class YoloxLike(torch.nn.Module):
    """YOLOX's head for 80 classes, in its export form, on the maps of a ResNet-18 at 1/8, 1/16 and 1/32."""

    CLASSES, WIDTH = 80, 96
    pretrained_cfg = {"input_size": (3, 416, 416)}

    def __init__(self):
        super().__init__()
        self.backbone = timm.create_model("resnet18", features_only=True, out_indices=(2, 3, 4))
        self.stems, self.towers = torch.nn.ModuleList(), torch.nn.ModuleList()
        self.boxes, self.objectness, self.scores = (torch.nn.ModuleList() for _ in range(3))
        for channels in self.backbone.feature_info.channels():
            self.stems.append(torch.nn.Conv2d(channels, self.WIDTH, 1))
            towers = [torch.nn.Conv2d(self.WIDTH, self.WIDTH, 3, padding=1) for _ in range(4)]
            self.towers.append(torch.nn.ModuleList(towers))
            self.boxes.append(torch.nn.Conv2d(self.WIDTH, 4, 1))
            self.objectness.append(torch.nn.Conv2d(self.WIDTH, 1, 1))
            self.scores.append(torch.nn.Conv2d(self.WIDTH, self.CLASSES, 1))

    def forward(self, image):
        outputs, silu = [], torch.nn.functional.silu
        for scale, features in enumerate(self.backbone(image)):
            stem = silu(self.stems[scale](features))
            first, second, third, fourth = self.towers[scale]
            boxes, classes = silu(second(silu(first(stem)))), silu(fourth(silu(third(stem))))
            objectness = self.objectness[scale](boxes).sigmoid()
            parts = [self.boxes[scale](boxes), objectness, self.scores[scale](classes).sigmoid()]
            outputs.append(torch.cat(parts, 1).flatten(2))
        return torch.cat(outputs, 2).permute(0, 2, 1)


def export(name, out, batch):
    """Write `out/name.xml`, at the model's default input size."""
    torch.manual_seed(0)
    model = YoloxLike() if name == "yolox_like" else timm.create_model(name, pretrained=False)
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
