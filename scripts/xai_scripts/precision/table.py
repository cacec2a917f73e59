"""`docs/precision.md` from the figures."""

from ..common import paths, tables
from .models import MODELS

PATH = paths.DOCS / "precision.md"
COLUMNS = (
    "model",
    "the branch: difference of 255",
    "equal peaks",
    "within a step",
    "its products rounded: difference",
    "equal peaks",
    "all results rounded: difference",
    "equal peaks",
    "the features: difference",
    "equal peaks",
    "inference with the branch / without",
)

TEXT = """\
# Precision

A CPU with bf16 computes in bf16 by default, a GPU in f16, whatever the IR says. `scripts/precision` wrote this, on a CPU
whose default is {precision} (OpenVINO {openvino}): ten photos of scikit-image, the five best classes of each, all classes
of the detector.

{table}

*The branch*: maps as the device makes them by default, against the same branch in f32 *on the values that the device
itself computed for it*. This is what the branch is answerable for. *Within a step*: the peak's value differs by less than
one step of 255, as of two positions that are nearly equal. *Its products rounded*: the branch in f32 but for the operands
of its products (MatMul, Convolution), which are rounded as every product in bf16 rounds them: the floor of what any branch
in bf16 could show. *All results rounded*: what each of its operations makes is rounded too. The CPU plugin does not round
all of them (what follows the last product stays in f32), and most maps are better for it. *The features*: the branch in f32
on features that the device computed by default, against all of it in f32. This is what the original's own rounding costs,
and no branch can mend it; with `INFERENCE_PRECISION_HINT` f32 there is none of it.

Maps hold because of what is computed, not because of where it runs: a value under masks is carried as a base and its
differences from that, and nothing subtracts two values that are nearly equal ([how](how-it-works.md#half-precision)).
Before, maps of random resnet50, efficientnet_b0, mobilenetv3_large_100 and deit_tiny were off by 120, 112, 90 and 124 of
255 in bf16. What is left is the rounding of what each operation makes, a share of each difference: where two positions of
a map are closer than that, either may be the peak. Between features and scores of vit_base there are some ten that add 0.1
to 0.3 of 255 each, and none that stands out.

Copies (`--lowering dense`, and what an operation without a rule of its own falls back to) and rows of distinct tokens are
values, and lose what half precision cannot hold.

`xai-verify` checks in f32 unless `--precision default` or `both` is given, and then says how far maps are from those in
f32; `xai-explain` runs in f32.
"""


def head():
    """The names of the columns."""
    return tables.head(COLUMNS)


def row(name, figures):
    """A line of the table."""
    share = [f"{figures[part][1]:.0%}" for part in ("branch", "products", "results", "features")]
    difference = [f"{figures[part][0]:.2f}" for part in ("branch", "products", "results", "features")]
    within = f"{figures['branch'][2]:.0%}"
    others = [cell for pair in list(zip(difference, share, strict=True))[1:] for cell in pair]
    return tables.row([MODELS[name].label, difference[0], share[0], within, *others, f"{figures['cost']:.3f}"])


def write(rows, figures):
    """Write the whole text; `figures` say how it was run."""
    text = TEXT.format(table="\n".join([head(), *rows]), precision=figures["precision"], openvino=figures["openvino"])
    PATH.write_text(text, encoding="utf-8")
