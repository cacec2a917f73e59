"""Run the tools over classifiers as people export them: export, insert, verify, and write docs/zoo.

    scripts/zoo                              everything that has no result yet, then the tables
    scripts/zoo --family timm --form noshape one family in one form
    scripts/zoo --only vit* --retry          some models (results are replaced); what was not verified
    scripts/zoo --table                      the tables alone

Families: timm, transformers, torchvision, keras, optimum. Each has an environment of its own (.venv-zoo, 4 GB, and
.venv-zoo-keras, 2 GB). Exports are made once, in a process of their own, and kept (some 40 GB; --models says where,
--discard deletes each after use); a run over what is kept (--kept) needs neither PyTorch nor TensorFlow. Results are kept in
target/zoo; a run that was stopped goes on where it was. Needs the release binaries.
"""

import argparse
import datetime
from pathlib import Path

from ..common import paths, programs
from ..common.processes import Failed
from . import catalogue, results, sweep, table
from .sources import timm_list


def parser():
    """The command line."""
    result = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("--family", nargs="+", choices=tuple(catalogue.families()), help="families to run")
    result.add_argument("--form", nargs="+", choices=tuple(catalogue.TITLES), help="forms to run")
    result.add_argument("--only", nargs="+", metavar="PATTERN", help="models to run, as shell patterns")
    result.add_argument("--retry", action="store_true", help="run again what is not verified")
    result.add_argument("--again", action="store_true", help="run everything again")
    result.add_argument("--kept", action="store_true", help="run only over exports that are there")
    result.add_argument("--bench", action="store_true", help="measure what branches cost")
    result.add_argument("--table", action="store_true", help="only write the tables")
    result.add_argument("--choose", action="store_true", help="only make the list of timm's models anew")
    result.add_argument("--discard", action="store_true", help="delete each export after use")
    result.add_argument("--limit", type=int, default=900, metavar="S", help="seconds for one step")
    result.add_argument("--models", default=results.FOLDER / "models", type=Path, help="where to export to")
    result.add_argument("--binaries", default=programs.RELEASE, type=Path)
    return result


def write_tables(known):
    """docs/zoo, in the order of the catalogue; without any result it is left as it is."""
    if not known:
        raise Failed(f"{results.FILE} holds no results: run the sweep first")
    date = datetime.datetime.now(datetime.timezone.utc).date()
    found = {}
    for family, models in catalogue.families().items():
        keys = [(family, model, form) for model, forms in models.items() for form in forms]
        if rows := [known[key] for key in keys if key in known]:
            found[family] = rows
    table.write(paths.DOCS / "zoo", found, date)
    print(table.counts(found))


def main():
    """Read the command line and run."""
    arguments = parser().parse_args()
    if arguments.choose:
        timm_list.choose()
        return
    known = results.read()
    if not arguments.table:
        sweep.run(arguments, known)
    write_tables(known)
