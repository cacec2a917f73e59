"""How images are brought to what networks trained on ImageNet read: (pixel - mean) / scale, in RGB of 0..255."""

MEAN = (123.675, 116.28, 103.53)
SCALE = (58.395, 57.12, 57.375)
