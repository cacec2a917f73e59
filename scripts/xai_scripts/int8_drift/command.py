"""Measure how far maps move when a model is quantized to INT8, and write docs/int8.md.

    scripts/int8_drift [--check]

Needs the packages of scripts/requirements-fixtures.txt and xai-insert (`pip install .`).

Both orders are tried: quantization by NNCF and then the branch, and the branch first. The maps of each are
compared with those of the FP32 model, on the same images. With --check nothing is written. Ends with 1 where maps
of a branch that is left in float correlate less than 0.98.
"""

import argparse

from . import table

# Mean correlation with the FP32 maps that a branch in float has to keep.
LEAST_CORRELATION = 0.98


def main():
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args()

    from . import drift

    rows, broken = [], False
    for name, order, figures in drift.figures():
        broken |= order == drift.LEFT_OUT and figures["correlation"][0] < LEAST_CORRELATION
        rows.append(table.row(name, order, figures))
        print(rows[-1], flush=True)
    if not arguments.check:
        table.write(rows, **drift.circumstances())
    return int(broken)
