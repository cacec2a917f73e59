"""Every image classifier of transformers that takes an image, with random weights and few layers."""

try:
    import torch
except ImportError:
    # The names are asked for where PyTorch is not.
    torch = None

# More classes than an image has rows or channels, so that no axis is taken for another.
CLASSES = 37
# What a configuration is made smaller by, where it has the setting as one number.
SMALL = {"num_hidden_layers": 3, "hidden_size": 96, "num_attention_heads": 4, "intermediate_size": 192}
# Settings of a configuration that is nested, or whose parts depend on each other.
SETTINGS = {
    "clip": {"vision_config": SMALL | {"image_size": 224, "patch_size": 16, "projection_dim": 64}},
    "metaclip_2": {"vision_config": SMALL | {"image_size": 224, "patch_size": 16, "projection_dim": 64}},
    "siglip": {"vision_config": SMALL | {"image_size": 224, "patch_size": 16}},
    "siglip2": {"vision_config": SMALL | {"num_patches": 196, "patch_size": 16}},
    "ijepa": SMALL | {"image_size": 224, "patch_size": 16},
    "bit": {"layer_type": "preactivation"},
    "focalnet": {"depths": [2, 2, 2, 2]},
    "imagegpt": {"n_embd": 96, "n_layer": 3, "n_head": 4},
    "levit": {"depths": [2, 2, 2]},
}
SIZES = {"image_size": 224, "patch_size": 16}


# Every classifier of transformers 5.5 that takes images: `type` of a configuration, with its class behind it where one has
# several. Left out are a classifier of texts beside images, and timm's models under another name.
NAMES = (
    "beit", "bit", "clip", "convnext", "convnextv2", "cvt", "data2vec-vision", "deit:DeiTForImageClassification",
    "deit:DeiTForImageClassificationWithTeacher", "dinat", "dinov2", "dinov2_with_registers", "donut-swin",
    "efficientnet", "focalnet", "hgnet_v2", "hiera", "ijepa", "imagegpt", "levit:LevitForImageClassification",
    "levit:LevitForImageClassificationWithTeacher", "metaclip_2", "mobilenet_v1", "mobilenet_v2", "mobilevit",
    "mobilevitv2", "perceiver:PerceiverForImageClassificationLearned",
    "perceiver:PerceiverForImageClassificationFourier", "perceiver:PerceiverForImageClassificationConvProcessing",
    "poolformer", "pp_lcnet", "pvt", "pvt_v2", "regnet", "resnet", "segformer", "siglip", "siglip2", "swiftformer",
    "swin", "swinv2", "textnet", "vit", "vit_msn",
)  # fmt: skip
# Those that optimum-intel exports as image classifiers.
OPTIMUM = (
    "beit", "clip", "convnext", "convnextv2", "cvt", "data2vec-vision", "deit:DeiTForImageClassification", "dinov2",
    "hiera", "levit:LevitForImageClassification", "mobilenet_v1", "mobilenet_v2", "mobilevit", "poolformer", "regnet",
    "resnet", "segformer", "siglip", "swin", "swinv2", "vit", "vit_msn",
)  # fmt: skip


def configuration(kind):
    """A configuration with few layers."""
    from transformers import CONFIG_MAPPING

    made = CONFIG_MAPPING[kind]
    if kind in SETTINGS:
        return made(num_labels=CLASSES, **SETTINGS[kind])
    usual = made()
    smaller = {name: value for name, value in SMALL.items() if isinstance(getattr(usual, name, None), int)}
    if set(smaller) != set(SMALL):
        smaller = {}
    else:
        smaller |= {name: value for name, value in SIZES.items() if isinstance(getattr(usual, name, None), int)}
    return made(num_labels=CLASSES, **smaller)


def network(name):
    """The classifier as transformers makes it."""
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as mapping

    kind, _, chosen = name.partition(":")
    return getattr(transformers, chosen or mapping[kind])(configuration(kind))


class Logits(torch.nn.Module if torch else object):
    """A classifier that returns its logits alone."""

    def __init__(self, model, kind):
        super().__init__()
        self.model = model
        self.kind = kind

    def forward(self, image):
        if self.kind == "siglip2":
            # Patches are its input; their grid is square here.
            mask = torch.ones(image.shape[:2], dtype=torch.int64)
            side = torch.tensor([[14, 14]]).expand(image.shape[0], 2)
            return self.model(pixel_values=image, pixel_attention_mask=mask, spatial_shapes=side).logits
        if self.kind == "perceiver":
            return self.model(inputs=image).logits
        return self.model(image).logits


def build(name):
    """The classifier."""
    return Logits(network(name), name.partition(":")[0])


def size(name):
    """Of an image; SigLIP2 takes patches of one."""
    return [196, 3 * 16 * 16] if name == "siglip2" else [3, 224, 224]
