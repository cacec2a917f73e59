"""Run the tools over timm's classifier families: export, insert, verify, and write docs/zoo.md.

    scripts/zoo                        everything that has no result yet, then the table
    scripts/zoo --only vit_tiny*       some models (results are replaced)
    scripts/zoo --retry                again what was not verified
    scripts/zoo --table                the table alone

Needs scripts/requirements-fixtures.txt and the release binaries. Results are kept in target/zoo; a run that was
stopped goes on where it was. Exported models are deleted after use unless --keep is given.
"""

import argparse
import datetime
from pathlib import Path

from ..common import paths, programs
from ..common.processes import Failed
from . import choice, results, sweep, table


def parser():
    """The command line."""
    result = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    result.add_argument("--only", nargs="+", metavar="PATTERN", help="models to run, as shell patterns")
    result.add_argument("--batch", choices=("static", "dynamic", "both"), default="both")
    result.add_argument("--front-end", choices=("torch", "onnx", "all"), default="all")
    result.add_argument("--retry", action="store_true", help="run again what is not verified")
    result.add_argument("--again", action="store_true", help="run everything again")
    result.add_argument("--table", action="store_true", help="only write the table")
    result.add_argument("--choose", action="store_true", help="only make the list of models anew")
    result.add_argument("--keep", action="store_true", help="keep exported models")
    result.add_argument("--large", action="store_true", help="verify models of any size")
    result.add_argument("--limit", type=int, default=900, metavar="S", help="seconds for one step")
    result.add_argument("--models", default=results.FOLDER / "models", type=Path, help="where to export to")
    result.add_argument("--binaries", default=programs.RELEASE, type=Path)
    return result


def write_table(known):
    """docs/zoo.md, in the order of the list; without any result it is left as it is."""
    if not known:
        raise Failed(f"{results.FILE} holds no results: run the sweep first")
    import openvino
    import timm

    versions = {"timm": timm.__version__, "openvino": openvino.__version__.split("-")[0]}
    ordered = []
    for module, model, _ in choice.read():
        for front_end in ("torch", "onnx"):
            for batch in ("static", "dynamic"):
                if result := known.get((model, batch, front_end)):
                    ordered.append(result | {"module": module})
    date = datetime.datetime.now(datetime.timezone.utc).date()
    table.write(paths.DOCS / "zoo.md", ordered, versions, date)
    print(table.summary(ordered))


def main():
    """Read the command line and run."""
    arguments = parser().parse_args()
    if arguments.choose:
        choice.choose()
        return
    known = results.read()
    if not arguments.table:
        sweep.run(arguments, known)
    write_table(known)
