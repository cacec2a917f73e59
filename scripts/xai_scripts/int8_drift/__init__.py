"""Measures how far maps move when a model is quantized to INT8."""
