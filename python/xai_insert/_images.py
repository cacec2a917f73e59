"""Images and tensors as people have them, as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import UsageError

if TYPE_CHECKING:
    import numpy as np

# Modes of Pillow that say what is transparent; what they show lies over white.
_WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
_BYTES_OF_16_BITS = 257


def as_array(given: Any) -> np.ndarray:
    """An array of what a caller has: also of a PyTorch tensor that takes part in gradients, is on a device or bf16."""
    import numpy as np

    if hasattr(given, "detach") and hasattr(given, "cpu"):
        given = given.detach().cpu()
        try:
            return given.numpy()
        except TypeError:
            # NumPy has no bf16; each of its values is one of f32.
            return given.float().numpy()
    array = np.asarray(given)
    if array.dtype.kind == "V" and "float" in array.dtype.name:
        # bf16 and other types that packages add to NumPy.
        return array.astype(np.float32)
    return array


def as_pixels(image: Any) -> np.ndarray:
    """Pixels of an image: a Pillow image of any mode, turned as its EXIF says, or an array."""
    if not (hasattr(image, "getexif") and hasattr(image, "convert")):
        return as_array(image)
    import numpy as np
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):
        return (np.asarray(upright).astype(np.uint16) // _BYTES_OF_16_BITS).astype(np.uint8)
    transparent = upright.mode in _WITH_ALPHA or "transparency" in upright.info
    try:
        if upright.mode == "L":
            return np.asarray(upright)
        pixels = np.asarray(upright.convert("RGBA" if transparent else "RGB"))
    except ValueError as error:
        raise UsageError(f"a Pillow image of the mode {image.mode} has no RGB: {error}") from error
    return pixels[..., :3] if transparent and (pixels[..., 3] == 255).all() else pixels
