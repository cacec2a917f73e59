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
    "from the floor: difference, best position the same",
)

TEXT = """\
# Maps of INT8 models

`scripts/int8_drift` wrote this: FP32 maps, scaled to 0..255, against those of the same model in INT8 (NNCF
{nncf}, post-training, {calibration} images; OpenVINO {openvino}, CPU), on {measured} other images. Maps are those
of the five best classes of the FP32 model. *INT8, branch*: quantized, then `insert_xai`, with `quantized="exact"` (the
quantization of activations is a part of the head) or `"smooth"`, the default (it is left out of the branch; weights stay
quantized). *Floor*: the FP32 head on the features that the quantized model computes, which is what a branch in it could
show at best; the last column compares with that. *Branch, INT8*: `insert_xai`, then quantized, the branch with the rest.
*Branch left out*: the same with `ignored_scope=nncf.IgnoredScope(patterns=["xai/.*"])`. A map that came out flat counts as
a correlation of 0.

{table}

Insert first and leave the branch out, or insert into the quantized model: `smooth` is as close to FP32 as the features
are. Quantization of the branch itself costs most, because the steps of its scaling, from the least score to the largest,
get one range for all classes.

Both definitions are checked by `xai-verify`: the head with or without the quantization of activations, on masked features.
With it, the steps of a quantized block can be as large as what masks differ by. Behind a class token that leaves little of
a map, and the order in which a kernel sums can decide on which side of a step a value falls, so that `xai-verify` may fail
such a model although both sides are right. The same goes for fine grids, of which a position is a small part of the mean
that is read.

What no branch can mend are features that a quantized model computes otherwise: where a trained transformer has outliers
that quantization cuts, maps of the quantized model are maps of other features. Compare with the FP32 model's before you
trust them; insertion before quantization does not help there either, but leaving the last blocks in float does.

Compression of weights alone (`nncf.compress_weights`) is another matter. With two streams (`PERFORMANCE_HINT`
THROUGHPUT), OpenVINO 2026.4.1's CPU plugin gave wrong outputs for convolutional networks with such weights in up to a
third of compilations, with or without a branch. One stream, and transformers, were right.

The drift of the logits is the largest difference as a share of the largest logit: what quantization does to the
model itself. Images of mobilenet_v2 are crops of the photo in `fixtures/mobilenet_v2`; the others are small,
with random weights and random smooth images.
"""


def row(name, order, figures):
    """A line of the table."""
    (mean, least), (usual, largest) = figures["correlation"], figures["difference"]
    cells = [name, order, f"{mean:.3f} ({least:.3f})", f"{usual:.1f} ({largest:.0f})"]
    cells += [f"{figures['position']:.0%}", f"{figures['class']:.0%}", f"{figures['drift']:.1%}"]
    floor = figures.get("floor")
    return tables.row([*cells, f"{floor['difference'][0]:.1f}, {floor['position']:.0%}" if floor else ""])


def write(rows, **values):
    """Write the whole text; `values` are what else it names."""
    table = "\n".join([tables.head(COLUMNS), *rows])
    PATH.write_text(TEXT.format(table=table, **values), encoding="utf-8")
