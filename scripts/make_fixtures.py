#!/usr/bin/env python3
"""Makes the test models under `fixtures/`: `xai_scripts/fixtures`."""

from xai_scripts.commands import start

start("make_fixtures.py")
