"""Try random models and options, and compare the maps of both lowerings with the definition.

    scripts/differential [--cases N] [--seed S] [--case K] [--keep DIR]

Needs xai-insert (`pip install .`) with openvino and numpy. Models are small classifiers that OpenVINO accepts, with
extents that are equal on purpose; options are chosen at random, a target layer among them. Each case is inserted with
`auto` and with `dense`, both are verified against the definition, and their maps compared. The same seed gives the same
cases. Ends with 1 where anything was found.
"""

import argparse
import collections
import time


def main():
    """Read the command line and try."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=200, metavar="N", help="cases to try (200)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed of all of them (0)")
    parser.add_argument("--first", type=int, default=0, metavar="K", help="number of the first case (0)")
    parser.add_argument("--case", type=int, metavar="K", help="try this one again, and say what became of it")
    parser.add_argument("--keep", metavar="DIR", help="keep the models of what is found")
    arguments = parser.parse_args()

    from . import cases

    if arguments.case is not None:
        outcome, what = cases.run(arguments.seed, arguments.case, arguments.keep)
        print(f"{outcome}: {what}")
        return int(outcome == "found")
    counts, start = collections.Counter(), time.monotonic()
    for case in range(arguments.first, arguments.first + arguments.cases):
        outcome, what = cases.run(arguments.seed, case, arguments.keep)
        counts[outcome] += 1
        if outcome == "found":
            print(f"scripts/differential --seed {arguments.seed} --case {case}\n  {what}", flush=True)
        if sum(counts.values()) % 1000 == 0:
            print(f"{sum(counts.values())} tried, {dict(sorted(counts.items()))}", flush=True)
    accepted = arguments.cases - counts["not built"] - counts["not run"]
    spent = time.monotonic() - start
    print(f"{arguments.cases} tried, {accepted} accepted, {dict(sorted(counts.items()))}, {spent:.0f} s")
    return int(counts["found"] > 0)
