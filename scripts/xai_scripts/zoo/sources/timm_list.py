"""Which models the sweep runs: the smallest classifier of every timm module, and some by name."""

import warnings
from pathlib import Path

LIST = Path(__file__).with_name("timm.txt")

LARGEST = 130_000_000

# Families on which other tools are known to fail; the smallest member that the modules do not bring.
FAMILIES = (
    "swin_*",
    "swinv2_*",
    "pvt_v2_*",
    "pit_*",
    "nest_*",
    "twins_*",
    "mobilevit_*",
    "mobilevitv2_*",
    "mvitv2_*",
    "xcit_*",
    "coat_*",
    "crossvit_*",
    "cait_*",
    "levit_*",
    "sequencer2d_*",
    "convmixer_*",
    "poolformer_*",
    "caformer_*",
    "davit_*",
    "maxvit_*",
    "gcvit_*",
    "efficientformer_*",
    "hiera_*",
)

# Too large to verify in passing: insertion and its memory figure.
LARGE = ("beit_large_patch16_512", "eva_large_patch14_336")


def read():
    """The models as (module, model, parameters)."""
    rows = [line.split() for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    return [(module, model, int(parameters)) for module, model, parameters in rows]


def choose():
    """Write the list anew; takes some minutes, because every model is built without its weights."""
    import timm

    rows, sizes = [], {}
    for module in timm.list_modules():
        sized = [(size, name) for name in timm.list_models(module=module) if (size := count(name, sizes))]
        if sized and min(sized)[0] < LARGEST:
            size, name = min(sized)
            rows.append((module, name, size))
            print(f"{module:24} {name:44} {size / 1e6:8.1f} M", flush=True)
        else:
            print(f"{module:24} no classifier below {LARGEST / 1e6:.0f} million parameters", flush=True)
    taken = {name for _, name, _ in rows}
    for pattern in FAMILIES:
        sized = [(size, name) for name in timm.list_models(pattern) if (size := count(name, sizes))]
        if sized and (smallest := min(sized)[1]) not in taken:
            taken.add(smallest)
            rows.append(("-", smallest, min(sized)[0]))
    rows += [("-", name, count(name, sizes)) for name in LARGE]
    lines = ["# Module (- where the model is on the list by name), model, parameters: `scripts/zoo --choose`."]
    LIST.write_text("\n".join(lines + [f"{module} {name} {size}" for module, name, size in rows]) + "\n")


def count(name, known):
    """Parameters of a model; 0 where it has no classifier or cannot be built."""
    import timm
    import torch

    if name not in known:
        try:
            with warnings.catch_warnings(), torch.device("meta"):
                warnings.simplefilter("ignore")
                model = timm.create_model(name, pretrained=False)
            classes = getattr(model, "num_classes", 0) and model.pretrained_cfg.get("classifier")
            known[name] = sum(parameter.numel() for parameter in model.parameters()) if classes else 0
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
            known[name] = 0
    return known[name]
