"""Compares maps and metrics with those of `openvino_xai`."""
