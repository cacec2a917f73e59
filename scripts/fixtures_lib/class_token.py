"""Class tokens in a module of our own: forms of attention, and ways to read the token.

The families in `token_families` write their attention as timm does. Other libraries, converters and
opsets write the same formula differently; here each of those forms stands alone.
"""

import io

import openvino as ov
import torch
from openvino import opset13
from torch import nn

from .convert import convert_torch, export_torch, fold_constants, name_ports, save
from .registry import fixture
from .torch_tools import prepare, smooth_images

SIZE = (48, 32)
PATCH = 8
CLASSES = 5
DIM = 16
HEADS = 2
POSITIONS = (SIZE[0] // PATCH) * (SIZE[1] // PATCH)
STATIC = [1, 3, *SIZE]
DYNAMIC = [-1, 3, *SIZE]


class ExplicitNorm(nn.Module):
    """A LayerNorm written out, as exports to old ONNX opsets have it."""

    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        centred = x - x.mean(-1, keepdim=True)
        variance = centred.pow(2).mean(-1, keepdim=True)
        return centred / torch.sqrt(variance + 1e-6) * self.weight + self.bias


class Attention(nn.Module):
    """Attention from three Linears, written out; `scale` says what is multiplied.

    `bias` adds a learned value to every score; `picked` computes q, k and v by one Linear and
    takes them out by index; `folded` puts the heads beside the batch on one axis.
    """

    def __init__(self, scale="product", bias=False, picked=False, folded=False):
        super().__init__()
        self.scale, self.picked, self.folded = scale, picked, folded
        if picked:
            self.qkv = nn.Linear(DIM, 3 * DIM)
        else:
            self.query, self.key, self.value = (nn.Linear(DIM, DIM) for _ in range(3))
        self.proj = nn.Linear(DIM, DIM)
        tokens = 1 + POSITIONS
        self.bias = nn.Parameter(torch.randn(1, HEADS, tokens, tokens)) if bias else None

    def heads(self, x):
        batch, tokens, _ = x.shape
        return x.reshape(batch, tokens, HEADS, DIM // HEADS).transpose(1, 2)

    def projections(self, x):
        if not self.picked:
            return [self.heads(linear(x)) for linear in (self.query, self.key, self.value)]
        batch, tokens, _ = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, HEADS, DIM // HEADS).permute(2, 0, 3, 1, 4)
        return qkv[0], qkv[1], qkv[2]

    def forward(self, x):
        batch, tokens, _ = x.shape
        q, k, v = self.projections(x)
        if self.folded:
            q, k, v = (part.reshape(batch * HEADS, tokens, DIM // HEADS) for part in (q, k, v))
        factor = (DIM // HEADS) ** -0.5
        if self.scale == "query":
            scores = (q * factor) @ k.transpose(-2, -1)
        elif self.scale == "key":
            scores = q @ (k * factor).transpose(-2, -1)
        elif self.scale == "quotient":
            scores = q @ k.transpose(-2, -1) / factor**-1
        else:
            scores = (q @ k.transpose(-2, -1)) * factor
        if self.bias is not None:
            scores = scores + self.bias
        mixed = scores.softmax(-1) @ v
        if self.folded:
            mixed = mixed.reshape(batch, HEADS, tokens, DIM // HEADS)
        return self.proj(mixed.transpose(1, 2).reshape(batch, tokens, DIM))


class Block(nn.Module):
    """Attention and MLP, each with a norm before it, or (`post`) after the sum."""

    def __init__(self, attention, norm=nn.LayerNorm, post=False):
        super().__init__()
        self.post = post
        self.norm1, self.norm2 = norm(DIM), norm(DIM)
        self.attn = attention
        self.mlp = nn.Sequential(nn.Linear(DIM, 2 * DIM), nn.GELU(), nn.Linear(2 * DIM, DIM))

    def forward(self, x):
        if self.post:
            x = self.norm1(x + self.attn(x))
            return self.norm2(x + self.mlp(x))
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


def by_index(x):
    return x[:, 0]


def by_slice(x):
    return x[:, 0:1].squeeze(1)


def by_split(x):
    return torch.split(x, [1, POSITIONS], 1)[0].squeeze(1)


def by_unbinding(x):
    return x.unbind(1)[0]


def with_mean(x):
    return torch.cat([x[:, 0], x[:, 1:].mean(1)], 1)


class Classifier(nn.Module):
    """A patch embedding, a class token, two blocks, and a Linear on what `read` takes."""

    def __init__(self, read=by_index, norm=nn.LayerNorm, post=False, **attention):
        super().__init__()
        self.read = read
        self.embed = nn.Conv2d(3, DIM, PATCH, PATCH)
        self.token = nn.Parameter(torch.randn(1, 1, DIM))
        self.position = nn.Parameter(torch.randn(1, 1 + POSITIONS, DIM))
        blocks = [Block(Attention(**attention), norm, post) for _ in range(2)]
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.Identity() if post else norm(DIM)
        self.head = nn.Linear(2 * DIM if read is with_mean else DIM, CLASSES)

    def forward(self, image):
        x = self.embed(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        return self.head(self.read(self.norm(self.blocks(x))))


# Written-out attention stays so only without the fusions of the converter.
PLAIN = {"compress_to_fp16": False, "fusions": False}


@fixture("PyTorch")
def token_scale_product(path):
    """Three separate projections; MatMul, Multiply by the scale, Softmax and MatMul."""
    export_torch(path, Classifier(scale="product"), STATIC, fusions=False)


@fixture("PyTorch")
def token_scale_query(path):
    """Written-out attention that scales the queries, with a dynamic batch."""
    export_torch(path, Classifier(scale="query"), DYNAMIC, **PLAIN)


@fixture("PyTorch")
def token_scale_key(path):
    """Written-out attention that scales the keys, before their Transpose."""
    export_torch(path, Classifier(scale="key"), STATIC, **PLAIN)


@fixture("PyTorch")
def token_scale_quotient(path):
    """Written-out attention that divides the scores instead of multiplying them."""
    export_torch(path, Classifier(scale="quotient"), STATIC, **PLAIN)


@fixture("PyTorch")
def token_score_bias(path):
    """A value for each pair of tokens is added to the scores before the Softmax."""
    export_torch(path, Classifier(scale="product", bias=True), STATIC, **PLAIN)


@fixture("PyTorch")
def token_score_bias_fused(path):
    """ScaledDotProductAttention with a mask and a scale among its inputs, dynamic batch."""
    model = Classifier(scale="product", bias=True)
    export_torch(path, model, DYNAMIC, compress_to_fp16=False)


@fixture("PyTorch")
def token_folded_heads(path):
    """Heads share an axis with a batch of two, `[N * heads, tokens, channels]`, as in products of three axes."""
    export_torch(path, Classifier(folded=True), [2, 3, *SIZE], **PLAIN)


@fixture("PyTorch")
def token_folded_heads_fused(path):
    """ScaledDotProductAttention of heads that share an axis with the batch, dynamic; class token and mean are read."""
    export_torch(path, Classifier(with_mean, folded=True), DYNAMIC, compress_to_fp16=False)


@fixture("PyTorch")
def token_batch2(path):
    """A class token with a static batch of two, which its reshapes hold as a constant."""
    export_torch(path, Classifier(scale="query"), [2, 3, *SIZE], compress_to_fp16=False)


@fixture("PyTorch")
def token_slice(path):
    """The class token is read by a Slice of length one and a Squeeze."""
    export_torch(path, Classifier(by_slice), STATIC, compress_to_fp16=False)


@fixture("PyTorch")
def token_split(path):
    """The class token is the first part of a VariadicSplit; dynamic batch."""
    export_torch(path, Classifier(by_split), DYNAMIC, compress_to_fp16=False)


@fixture("PyTorch")
def token_unbind(path):
    """The class token is the first of as many parts of a Split as there are tokens."""
    export_torch(path, Classifier(by_unbinding), STATIC, compress_to_fp16=False)


@fixture("PyTorch")
def token_and_mean(path):
    """The head reads the class token joined with the mean of the patch tokens (DINOv2)."""
    export_torch(path, Classifier(with_mean), STATIC, compress_to_fp16=False)


@fixture("PyTorch")
def token_post_norm(path):
    """Norms stand after the sums, x = norm(x + f(x)): nothing normalises the attention's input."""
    export_torch(path, Classifier(post=True), STATIC, compress_to_fp16=False)


@fixture("PyTorch, OpenVINO operators")
def token_strided_slice(path):
    """The class token is read by a StridedSlice that drops the axis (shrink_axis_mask)."""
    model = Classifier(by_slice)
    image = smooth_images((8, *STATIC[1:]), seed=1)
    prepare(model, image)
    converted = name_ports(convert_torch(model, [image[:1]]))
    replace_slice(converted)
    save(converted, path, compress_to_fp16=False)


def replace_slice(model):
    """Put a StridedSlice of [:, 0] in the place of a Slice of [:, 0:1] and its Squeeze."""
    (old,) = (op for op in model.get_ops() if op.get_type_name() == "Slice")
    (target,) = old.output(0).get_target_inputs()
    squeeze = target.get_node()
    new = opset13.strided_slice(
        old.input_value(0), [0, 0], [0, 1], [1, 1], [1, 0], [1, 0], [], [0, 1], []
    )
    new.set_friendly_name("token")
    for reader in squeeze.output(0).get_target_inputs():
        reader.replace_source_output(new.output(0))
    model.validate_nodes_and_infer_types()


@fixture("PyTorch, ONNX")
def token_onnx11(path):
    """ONNX opset 11: norms as ReduceMean, Power, Sqrt and Divide; q, k and v taken by Gather."""
    export_onnx(path, Classifier(norm=ExplicitNorm, picked=True), batch=1)


@fixture("PyTorch, ONNX")
def token_onnx11_dynamic(path):
    """The opset 11 export with a dynamic batch: its shapes come from ShapeOf."""
    export_onnx(path, Classifier(norm=ExplicitNorm, picked=True), batch=-1)


def export_onnx(path, model, batch):
    """Export by way of ONNX opset 11, by tracing, and read that without the converter's fusions."""
    images = smooth_images((8, 3, *SIZE), seed=1)
    prepare(model, images)
    file = io.BytesIO()
    torch.onnx.export(
        model,
        (images[: 2 if batch < 0 else batch],),
        file,
        opset_version=11,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}} if batch < 0 else None,
        dynamo=False,
    )
    converted = ov.Core().read_model(file.getvalue(), b"")
    fold_constants(converted)
    save(converted, path, compress_to_fp16=False)
