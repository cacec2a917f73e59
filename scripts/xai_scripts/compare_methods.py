"""Measures methods of explanation by insertion and deletion, on photos that packages bring along.

Photos are those of scikit-image and scikit-learn, the class is the one that the model predicts. Each RISE map is made
for several seeds, divided by coverage and by the expectation; the control is maps of random numbers, 7x7. Prints a table
of means over photos, with the least and the largest photo, and how much the maps of two seeds are alike.
"""

import argparse
import itertools
import json
import tempfile
from pathlib import Path

from .common import environments, paths, processes, programs, tables

PHOTOS = {
    "skimage": ("chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "astronaut.png"),
    "sklearn": ("china.jpg", "flower.jpg"),
}
COLUMNS = ("insertion", "insertion_from_blur", "deletion", "insertion - deletion", "blur - deletion", "adcc")
MAKE_RANDOM = "import sys, numpy as np; np.save(sys.argv[1], np.random.default_rng(int(sys.argv[2])).random((7, 7)).astype('f'))"
CORRELATE = "import sys, numpy as np; a, b = map(np.load, sys.argv[1:]); print(np.corrcoef(a.ravel(), b.ravel())[0, 1])"
FIND = "import pathlib, skimage, sklearn; print(*(pathlib.Path(m.__file__).parent for m in (skimage, sklearn)), sep='\\n')"


def photos(python):
    """Paths of the photos."""
    folders = processes.output([python, "-c", FIND]).split("\n")
    places = {"skimage": Path(folders[0], "data"), "sklearn": Path(folders[1], "datasets", "images")}
    return [places[package] / name for package, names in PHOTOS.items() for name in names]


def methods(seeds):
    """Name of a row, options of `xai-explain` for each of its maps."""
    yield "ReciproCAM", [[]]
    for effort in ("balance", "quality"):
        yield f"AISE, `{effort}`", [["--method", "aise", "--effort", effort]]
    for effort, divisor in itertools.product(("speed", "balance", "quality"), ("coverage", "expectation")):
        options = ["--method", "rise", "--effort", effort, "--divisor", divisor]
        yield f"RISE, `{effort}`, by {divisor}", [[*options, "--seed", seed] for seed in range(seeds)]


def measured(program, model, photo, options):
    """The metrics of one map."""
    found = programs.reports([program, model, photo, "--targets", "top1", "--metrics", *options])
    metrics = next(report["targets"][0]["metrics"] for report in found if "targets" in report)
    metrics["insertion - deletion"] = metrics["insertion"] - metrics["deletion"]
    metrics["blur - deletion"] = metrics["insertion_from_blur"] - metrics["deletion"]
    return metrics


def row(name, photos):
    """Means over photos, of which each has the metrics of several maps."""
    cells = [name]
    for column in COLUMNS:
        values = [sum(one[column] for one in maps) / len(maps) for maps in photos]
        spread = f" ({min(values):.3f} to {max(values):.3f})" if " - " in column else ""
        cells.append(f"{sum(values) / len(values):.3f}{spread}")
    return tables.row(cells)


def likeness(python, program, model, photo, options):
    """Correlation of the maps of two seeds."""
    with tempfile.TemporaryDirectory() as scratch:
        maps = []
        for seed in (0, 1):
            folder = Path(scratch, str(seed))
            command = [program, model, photo, "--targets", "top1", "-o", folder, "--raw", "--no-gallery"]
            processes.output([*command, *options, "--seed", seed])
            maps += sorted(folder.glob("*.npy"))
        return float(processes.output([python, "-c", CORRELATE, *maps]))


def main():
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=paths.fixture("mobilenet_v2"), help="a classifier")
    parser.add_argument("--binary", type=Path, help="xai-explain (default: built here)")
    parser.add_argument("--seeds", type=int, default=2, help="RISE maps of each photo")
    parser.add_argument("--random", type=int, default=5, help="random maps of each photo")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    arguments = parser.parse_args()
    python = environments.environment("methods", "numpy", "scikit-image", "scikit-learn")
    program = arguments.binary or programs.build("xai-explain")[0]
    found, all_figures = photos(python), {}
    print(tables.head(["map", *(column.replace("_", " ") for column in COLUMNS)]))
    for name, choices in methods(arguments.seeds):
        figures = [[measured(program, arguments.model, photo, options) for options in choices] for photo in found]
        print(row(name, figures), flush=True)
        all_figures[name] = figures
    with tempfile.TemporaryDirectory() as scratch:
        figures = []
        for photo in found:
            maps = []
            for seed in range(arguments.random):
                path = Path(scratch, f"{seed}.npy")
                processes.output([python, "-c", MAKE_RANDOM, path, seed])
                maps.append(measured(program, arguments.model, photo, ["--map", path]))
            figures.append(maps)
        print(row("random", figures), flush=True)
        all_figures["random"] = figures
    print()
    print(tables.head(["RISE", "correlation of two seeds, mean", "least"]))
    for effort, divisor in itertools.product(("speed", "balance", "quality"), ("coverage", "expectation")):
        options = ["--method", "rise", "--effort", effort, "--divisor", divisor]
        values = [likeness(python, program, arguments.model, photo, options) for photo in found]
        print(tables.row([f"`{effort}`, by {divisor}", f"{sum(values) / len(values):.3f}", f"{min(values):.3f}"]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(all_figures, indent=1))


if __name__ == "__main__":
    main()
