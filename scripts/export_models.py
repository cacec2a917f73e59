#!/usr/bin/env python3
"""Exports timm classifiers and a detector for benchmarks: `xai_scripts/export_models.py`."""

from xai_scripts.commands import start

start("export_models.py")
