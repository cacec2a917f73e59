"""What every PyTorch model goes through before it is converted.

An untrained network is a poor test subject. Its normalisations are the identity, so the converter
drops the very operations that trained models have; its deep activations shrink to a constant, so
that a wrong saliency map looks like a right one. `prepare` repairs both and is fully seeded.
"""

import math

import torch
from torch.nn.functional import interpolate
from torch.nn.modules.batchnorm import _BatchNorm


def smooth_images(shape, seed):
    """Random images whose brightness differs from region to region.

    White noise looks the same everywhere to a pooled network; a coarse random field does not.
    """
    batch, channels, height, width = shape
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.randn(batch, channels, 5, 5, generator=rng)
    field = interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)
    return field + 0.3 * torch.randn(shape, generator=rng)


def prepare(model, images, seed=0, extra_inputs=()):
    """Put `model` into evaluation mode with weights that are random, sane and nowhere trivial."""
    rng = torch.Generator().manual_seed(seed)
    model.requires_grad_(False)
    _lift_small_weights(model, rng)
    _perturb_vectors(model, rng)
    _calibrate_batch_norms(model, (images, *extra_inputs), rng)
    return model.eval()


def _lift_small_weights(model, rng):
    """Scale up weights that would let the signal fade: a ViT's start at a deviation of 0.02, and
    some classifiers at zero."""
    for parameter in model.parameters():
        if _is_vector(parameter):
            continue
        wanted = 1.0 / math.sqrt(parameter[0].numel())
        deviation = parameter.std().item()
        if deviation == 0.0:
            parameter.copy_(wanted * torch.randn(parameter.shape, generator=rng))
        elif deviation < wanted:
            parameter.mul_(wanted / deviation)


def _perturb_vectors(model, rng):
    """Move biases, affine parts, layer scales and class tokens away from their initial values."""
    for parameter in model.parameters():
        if _is_vector(parameter):
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=rng))


def _is_vector(parameter):
    return parameter.numel() == max(parameter.shape, default=1)


def _calibrate_batch_norms(model, inputs, rng):
    """Give batch norms the statistics of real activations, then detune them a little."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    norms = [norm for norm in norms if norm.track_running_stats]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = 1.0
        norm.train()
    model(*inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        spread = norm.running_var.sqrt()
        norm.running_mean.add_(0.2 * spread * torch.randn(spread.shape, generator=rng))
        norm.running_var.mul_(0.7 + 0.6 * torch.rand(spread.shape, generator=rng)).add_(1e-4)
