"""The smallest classifier of every timm module, and some by name: `timm.txt`, made by `timm_list.py`."""

from . import timm_list

# Structurally different modules that are exported through PyTorch's older exporter to ONNX as well.
THROUGH_OLD_ONNX = (
    "vision_transformer",
    "deit",
    "beit",
    "swin_transformer",
    "convnext",
    "mobilenetv3",
    "cait",
    "eva",
    "xcit",
    "levit",
    "mobilevit",
    "mlp_mixer",
)


def build(name):
    """The classifier."""
    import timm

    return timm.create_model(name, pretrained=False)


def size(name):
    """Of an image."""
    import timm

    return list(timm.get_pretrained_cfg(name).input_size)


def modules():
    """Of each model: its module (`-` where it is on the list by name) and its parameters."""
    return {model: (module, parameters) for module, model, parameters in timm_list.read()}
