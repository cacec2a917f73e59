"""Class tokens as the families of timm have them, built from timm's own classes, very small.

Where a family differs only by an option of its class, that option is all that the fixture sets.
"""

from timm.models.beit import Beit
from timm.models.cait import Cait
from timm.models.crossvit import CrossVit
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva
from timm.models.pit import PoolingVisionTransformer
from timm.models.tnt import TNT
from timm.models.vision_transformer import (
    ParallelScalingBlock,
    ParallelThingsBlock,
    ResPostBlock,
    VisionTransformer,
)
from timm.models.volo import VOLO
from timm.models.xcit import Xcit

from .class_token import CLASSES, DYNAMIC, PLAIN, SIZE, STATIC
from .convert import export_torch
from .registry import TIMM, fixture

FAMILY = {"img_size": SIZE, "num_classes": CLASSES}
SMALL = {**FAMILY, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "mlp_ratio": 2}
FP32 = {"compress_to_fp16": False}


def without_fused_attention(model):
    """Let every attention write out its formula, as timm does where that is asked for."""
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
    return model


@fixture("PyTorch, timm", TIMM)
def vit_qkv_written_out(path):
    """One Linear for q, k and v, taken apart by Split; the attention is written out."""
    export_torch(path, without_fused_attention(VisionTransformer(**SMALL)), STATIC, **PLAIN)


@fixture("PyTorch, timm", TIMM)
def vit_qk_norm(path):
    """Queries and keys are normalised for each head before their product."""
    export_torch(path, VisionTransformer(**SMALL, qk_norm=True), STATIC, **FP32)


@fixture("PyTorch, timm", TIMM)
def vit_distilled(path):
    """Two prefix tokens with a Linear each, whose logits are averaged (DeiT)."""
    export_torch(path, VisionTransformerDistilled(**SMALL), STATIC, **FP32)


@fixture("PyTorch, timm", TIMM)
def vit_distilled_dynamic(path):
    """The two prefix tokens with a dynamic batch."""
    export_torch(path, VisionTransformerDistilled(**SMALL), DYNAMIC, **FP32)


@fixture("PyTorch, timm", TIMM)
def vit_registers(path):
    """A class token and four registers; positions are added before these are joined."""
    model = VisionTransformer(**SMALL, reg_tokens=4, no_embed_class=True, init_values=0.5)
    export_torch(path, model, STATIC, **FP32)


@fixture("PyTorch, timm", TIMM)
def vit_pre_norm(path):
    """A norm stands before the first block as well, and the GELU is x * sigmoid(1.702 x) (CLIP)."""
    model = VisionTransformer(**SMALL, pre_norm=True, act_layer="quick_gelu")
    export_torch(path, model, DYNAMIC, **FP32)


@fixture("PyTorch, timm", TIMM)
def vit_res_post_norm(path):
    """Norms stand behind attention and MLP, before the sums: x + norm(f(x))."""
    export_torch(path, VisionTransformer(**SMALL, block_fn=ResPostBlock), STATIC, **FP32)


@fixture("PyTorch, timm", TIMM)
def vit_parallel_scaling(path):
    """Attention and MLP read the same norm, by one Linear, and are added by one sum (ViT-22B)."""
    model = VisionTransformer(**SMALL, block_fn=ParallelScalingBlock)
    export_torch(path, model, STATIC, **FP32)


@fixture("PyTorch, timm", TIMM)
def vit_parallel_things(path):
    """Two attentions side by side, each with a norm of its own, then two MLPs side by side."""
    model = VisionTransformer(**{**SMALL, "depth": 1}, block_fn=ParallelThingsBlock)
    export_torch(path, model, STATIC, **FP32)


@fixture("PyTorch, timm", TIMM)
def vit_mean_of_patches(path):
    """The mean of the patch tokens is read; the class token takes part in the attention only."""
    export_torch(path, VisionTransformer(**SMALL, global_pool="avg"), DYNAMIC, **FP32)


@fixture("PyTorch, timm", TIMM)
def vit_mean_of_all(path):
    """The mean of all tokens is read, the class token among them."""
    model = VisionTransformer(**SMALL, global_pool="avg", pool_include_prefix=True)
    export_torch(path, model, STATIC, **FP32)


# BEiT has no position embedding of its own and no bias on the keys.
BEIT = {
    **SMALL,
    "global_pool": "token",
    "use_abs_pos_emb": False,
    "use_rel_pos_bias": True,
    "init_values": 0.5,
}


@fixture("PyTorch, timm", TIMM)
def beit_token(path):
    """BEiT with its class token read: a bias for relative positions in the fused attention."""
    export_torch(path, Beit(**BEIT), DYNAMIC, **FP32)


@fixture("PyTorch, timm", TIMM)
def beit_token_written_out(path):
    """BEiT with its attention written out: the bias is added to the scores."""
    export_torch(path, without_fused_attention(Beit(**BEIT)), STATIC, **PLAIN)


EVA = {
    **SMALL,
    "global_pool": "token",
    "use_rot_pos_emb": True,
    "swiglu_mlp": True,
    "qkv_fused": False,
}


@fixture("PyTorch, timm", TIMM)
def eva_token(path):
    """EVA-02: rotary positions on all tokens but the class token, SwiGLU with a norm inside."""
    export_torch(path, Eva(**EVA, scale_mlp=True, scale_attn_inner=True), STATIC, **FP32)


@fixture("PyTorch, timm", TIMM)
def eva_token_dynamic(path):
    """The rotary positions with one Linear for q, k and v, and a dynamic batch."""
    export_torch(path, Eva(**{**EVA, "qkv_fused": True}), DYNAMIC, **FP32)


@fixture("PyTorch, timm", TIMM)
def cait_token(path):
    """The class token joins after the last block and reads the patches in two blocks (CaiT)."""
    model = Cait(**{**SMALL, "depth": 1}, init_values=0.5, mlp_ratio_token_only=2)
    export_torch(path, model, STATIC, **FP32)


@fixture("PyTorch, timm", TIMM)
def xcit_token(path):
    """Attention between channels, then class attention that hands the patches on (XCiT)."""
    model = Xcit(**{**SMALL, "depth": 1}, cls_attn_layers=1)
    export_torch(path, model, STATIC, **FP32)


@fixture("PyTorch, timm", TIMM)
def volo_token(path):
    """Class attention, and the maximum over the patches' own scores added (VOLO)."""
    model = VOLO(
        layers=[1, 1],
        **{**FAMILY, "img_size": (64, 32)},
        patch_size=4,
        stem_hidden_dim=8,
        embed_dims=[8, 16],
        num_heads=[1, 2],
        downsamples=(True, False),
        outlook_attention=(True, False),
        mlp_ratio=2,
        post_layers=("ca",),
    )
    export_torch(path, model, [1, 3, 64, 32], **FP32)


@fixture("PyTorch, timm", TIMM)
def tnt_token(path):
    """Pixels of each patch have blocks of their own, joined into the patch tokens (TNT)."""
    model = TNT(
        **FAMILY,
        patch_size=16,
        embed_dim=16,
        inner_dim=4,
        depth=1,
        num_heads_inner=2,
        num_heads_outer=2,
        mlp_ratio=2,
    )
    export_torch(path, model, STATIC, **FP32)


@fixture("PyTorch, timm", TIMM)
def pit_token(path):
    """A convolution pools the patches between two stages; the class token goes round it (PiT)."""
    model = PoolingVisionTransformer(
        **FAMILY,
        patch_size=8,
        stride=4,
        base_dims=(8, 8),
        depth=(1, 1),
        heads=(1, 2),
        mlp_ratio=2,
    )
    export_torch(path, model, STATIC, **FP32)


@fixture("PyTorch, timm", TIMM)
def crossvit_token(path):
    """Two streams of patches with a class token each; the logits of both are averaged."""
    model = CrossVit(
        **FAMILY,
        patch_size=(8, 16),
        embed_dim=(8, 16),
        depth=((1, 1, 0),),
        num_heads=(2, 2),
        mlp_ratio=(2, 2, 1),
    )
    export_torch(path, model, STATIC, **FP32)
