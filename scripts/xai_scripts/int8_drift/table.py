"""`docs/int8.md` from the figures."""

from ..common import paths, tables

PATH = paths.DOCS / "int8.md"
COLUMNS = (
    "model",
    "order",
    "correlation of maps, mean (least)",
    "difference of 255, mean (largest)",
    "best position the same",
    "best class the same",
    "drift of logits",
)

TEXT = """\
# Maps of INT8 models

`scripts/int8_drift` wrote this: FP32 maps, scaled to 0..255, against those of the same model in INT8 (NNCF
{nncf}, post-training, {calibration} images; OpenVINO {openvino}, CPU), on {measured} other images. Maps are those
of the five best classes of the FP32 model. *INT8, branch*: quantized, then `insert_xai`. *Branch, INT8*:
`insert_xai`, then quantized, the branch with the rest. *Branch left out*: the same with
`ignored_scope=nncf.IgnoredScope(patterns=["xai/.*"])`. A map that came out flat counts as a correlation of 0.

{table}

Insert first, and leave the branch out: that is what keeps maps closest. Quantization of the branch itself spoils
them, because the steps of its scaling, from the least score to the largest, get one range for all classes.

A branch that is added to a quantized model is exact in the sense of `xai-verify`: it gives what the quantized head
gives on masked features. For convolutional networks that is close to the FP32 maps. Behind a class token the
scores under all masks differ little, and the steps of the quantized block are as large as what they differ by. There
the order in which a kernel sums can decide on which side of a step a value falls, so that `xai-verify` may fail such
a model although both sides are right: timm's `test_vit` with random weights in INT8 fails by up to 214 of 255, with
`--lowering dense` too; in FP32 it passes ([zoo](zoo.md)).

Fine grids need care too. A position of a 32x48 map is 1/1536 of the mean that is read, less than a step of INT8:
there a small classifier's maps had a correlation of 0.51 to 0.54 with those of FP32 where quantization came first
(0.994 at 8x12), and of 0.9998 where the branch came first and was left out.

Compression of weights alone (`nncf.compress_weights`) is another matter. With two streams (`PERFORMANCE_HINT`
THROUGHPUT), OpenVINO 2026.4.1's CPU plugin gave wrong outputs for convolutional networks with such weights in up to a
third of compilations, with or without a branch. One stream, and transformers, were right.

The drift of the logits is the largest difference as a share of the largest logit: what quantization does to the
model itself. Images of mobilenet_v2 are crops of the photo in `fixtures/mobilenet_v2`; the other two are small,
with random weights and random smooth images.
"""


def row(name, order, figures):
    """A line of the table."""
    (mean, least), (usual, largest) = figures["correlation"], figures["difference"]
    cells = [name, order, f"{mean:.3f} ({least:.3f})", f"{usual:.1f} ({largest:.0f})"]
    return tables.row([*cells, f"{figures['position']:.0%}", f"{figures['class']:.0%}", f"{figures['drift']:.1%}"])


def write(rows, **values):
    """Write the whole text; `values` are what else it names."""
    table = "\n".join([tables.head(COLUMNS), *rows])
    PATH.write_text(TEXT.format(table=table, **values), encoding="utf-8")
