"""Fetches real detectors, inserts into them, and looks where their maps point."""
