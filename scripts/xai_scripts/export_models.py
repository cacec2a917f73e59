"""Export timm classifiers, and a detector like YOLOX, to OpenVINO IR for benchmarks.

Weights are random, seeded and perturbed like those of the fixtures: times and graph structure are
those of the trained models, no download is needed.

    scripts/export_models.py --out DIR --batch static|dynamic NAME...
"""

import argparse
import sys
from pathlib import Path

from .common import paths
from .common.processes import note, printed, run_worker


def exported(python, names, batch):
    """The folder with models, where `python` exports those that are missing."""
    folder = paths.EXPORTED / batch
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in names if not (folder / f"{name}.xml").exists()]
    if missing:
        note(f"exporting {', '.join(missing)} ...")
        printed(run_worker(python, "export_models", "--out", folder, "--batch", batch, *missing))
    return folder


def export(name, out, batch):
    """Write `out/name.xml`, at the model's default input size."""
    import timm

    from .torch_models.convert import convert_torch, name_ports, save
    from .torch_models.seeded import batched, seeded
    from .torch_models.yolox import YoloxLike

    make = YoloxLike if name == "yolox_like" else lambda: timm.create_model(name, pretrained=False)
    model, images = seeded(make)
    converted = convert_torch(model, [images[:1]], [batched(images, batch)])
    save(name_ports(converted), Path(out) / f"{name}.xml")


def main():
    """Read the command line and export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", metavar="NAME", help="timm model names")
    parser.add_argument("--out", required=True, help="folder to write to")
    parser.add_argument("--batch", choices=("static", "dynamic"), default="static")
    arguments = parser.parse_args()
    for name in arguments.names:
        export(name, arguments.out, arguments.batch)
        print(f"{arguments.out}/{name}.xml")


if __name__ == "__main__":
    sys.exit(main())
