"""Runs the tools over the classifier families of timm."""
