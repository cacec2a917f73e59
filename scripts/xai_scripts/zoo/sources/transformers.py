"""Every image classifier of transformers that takes an image, with random weights and few layers."""

import torch

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


def names():
    """`type` of a configuration, with `:class` behind it where one has several classifiers."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as mapping

    listed = []
    for kind, classes in mapping.items():
        # A classifier of texts beside images, and timm's own models under another name.
        if kind in ("shieldgemma2", "timm_wrapper"):
            continue
        listed += [kind] if isinstance(classes, str) else [f"{kind}:{name}" for name in classes]
    return listed


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


class Logits(torch.nn.Module):
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
    """The classifier and the shape of an image."""
    kind = name.partition(":")[0]
    shape = (196, 3 * 16 * 16) if kind == "siglip2" else (3, 224, 224)
    return Logits(network(name), kind), shape
