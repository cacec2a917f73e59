"""Builders of the test models under `fixtures/`: one module per kind of model."""
