"""Measures insertion, inference and RISE."""
