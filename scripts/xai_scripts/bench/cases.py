"""What is measured, and what it may cost."""

# Model, options of xai-insert, and the ratio of latencies that the branch has to stay below; None where no head is
# evaluated, which shows what reading and writing cost.
CASES = [
    ("resnet50", "", 1.06),
    ("efficientnet_b0", "", 1.12),
    ("convnext_tiny", "", 1.05),
    ("mobilenetv3_large_100", "", 1.4),
    ("swin_tiny_patch4_window7_224", "", 1.08),
    ("vgg11", "", 1.6),
    ("deit_tiny_patch16_224", "", 1.13),
    ("deit_tiny_patch16_224", "--targets top1", 1.13),
    ("vit_base_patch16_224", "", 1.10),
    ("vit_base_patch16_224", "--targets top1", 1.10),
    ("vit_base_patch16_224", "--method activationmap", None),
    ("beit_base_patch16_224", "", 1.10),
    ("beit_base_patch16_224", "--method vitreciprocam", 2.0),
    ("vit_base_patch16_siglip_gap_224", "", 1.10),
    ("vit_base_patch16_siglip_gap_224", "--method vitreciprocam", 2.0),
    ("eva02_tiny_patch14_336", "", 1.15),
    # Detectors: one is exported like the classifiers, the other is what scripts/fetch_models gets.
    ("yolox_like", "--method classprobabilitymap", 1.05),
    ("ssd_mobilenet_v2", "--method classprobabilitymap", 1.05),
]
FETCHED = ("ssd_mobilenet_v2",)
# Against `cp`, for weights of this size and more: below, starting a process is most of the time.
INSERTION_LIMIT = 2.0
INSERTION_BYTES = 40e6
MEMORY_LIMIT_MIB = 32
# RISE has to reach this share of plain throughput.
RISE_LIMIT = 0.85


def chosen(models):
    """All cases, or those of the named models; one that has none is measured without options or limit."""
    cases = [case for case in CASES if not models or case[0] in models]
    known = [name for name, _, _ in cases]
    return cases + [(name, "", None) for name in models if name not in known]
