"""Random models and options, whose maps are compared with the definition."""
