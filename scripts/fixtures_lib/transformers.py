"""Tiny transformers and their kin, built from timm's own classes with small dimensions."""

from timm.layers import GroupNorm1
from timm.models.beit import Beit
from timm.models.metaformer import MetaFormer, Pooling
from timm.models.mlp_mixer import MlpMixer
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from .convert import export_torch
from .registry import TIMM, fixture

SIZE = (32, 48)
CLASSES = 6
STATIC = [1, 3, *SIZE]
DYNAMIC = [-1, 3, *SIZE]

# Patches of 8 pixels give a grid of 4x6.
TOKENS = {"img_size": SIZE, "patch_size": 8, "num_classes": CLASSES}
VIT = {**TOKENS, "embed_dim": 32, "depth": 2, "num_heads": 2}


@fixture("PyTorch, timm", TIMM)
def vit_cls(path):
    """Class token, fused qkv, fused attention: the plain case of the transformer method."""
    export_torch(path, VisionTransformer(**VIT), STATIC)


@fixture("PyTorch, timm", TIMM)
def vit_cls_dynamic(path):
    """The ViT with a class token and a dynamic batch."""
    export_torch(path, VisionTransformer(**VIT), DYNAMIC)


def pooled_vit(pool):
    """A ViT without class token under the named pooling."""
    return VisionTransformer(**VIT, class_token=False, global_pool=pool)


@fixture("PyTorch, timm", TIMM)
def gap_vit(path):
    """Tokens [1,24,32] without class token, averaged: the grid comes from the patch embedding."""
    export_torch(path, pooled_vit("avg"), STATIC)


@fixture("PyTorch, timm", TIMM)
def gap_vit_dynamic(path):
    """The averaged tokens with a dynamic batch."""
    export_torch(path, pooled_vit("avg"), DYNAMIC)


@fixture("PyTorch, timm", TIMM)
def attention_pool(path):
    """Attention pooling by a learned query; its reshapes hold a batch of one as a constant."""
    export_torch(path, pooled_vit("map"), STATIC)


@fixture("PyTorch, timm", TIMM)
def attention_pool_dynamic(path):
    """Attention pooling by a learned query with a dynamic batch."""
    export_torch(path, pooled_vit("map"), DYNAMIC)


@fixture("PyTorch, timm", TIMM)
def beit_like(path):
    """A class token is present, but the logits read the mean of the patch tokens only."""
    model = Beit(**VIT, use_rel_pos_bias=True, use_abs_pos_emb=False, init_values=0.1)
    export_torch(path, model, STATIC)


@fixture("PyTorch, timm", TIMM)
def mixer(path):
    """MLP-Mixer: tokens are mixed by a Linear across positions before the last norm."""
    export_torch(path, MlpMixer(**TOKENS, num_blocks=2, embed_dim=32), STATIC)


@fixture("PyTorch, timm", TIMM)
def swin_tiny_like(path):
    """Windowed attention with shifted windows, two stages, NHWC, static batch."""
    model = SwinTransformer(
        img_size=SIZE,
        patch_size=4,
        window_size=(2, 3),
        embed_dim=16,
        depths=(2, 2),
        num_heads=(2, 4),
        num_classes=CLASSES,
    )
    export_torch(path, model, STATIC)


@fixture("PyTorch, timm", TIMM)
def poolformer(path):
    """PoolFormer: GroupNorm over a whole image and pooling as token mixer."""
    model = MetaFormer(
        depths=(1, 1),
        dims=(16, 24),
        token_mixers=Pooling,
        mlp_act=nn.GELU,
        norm_layers=GroupNorm1,
        layer_scale_init_values=0.1,
        res_scale_init_values=None,
        use_mlp_head=False,
        num_classes=CLASSES,
    )
    export_torch(path, model, STATIC)
