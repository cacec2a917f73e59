#!/usr/bin/env python3
"""Exports a timm classifier with a saliency map and checks it: `xai_scripts/export_timm.py`."""

from xai_scripts.commands import start

start("export_timm.py")
