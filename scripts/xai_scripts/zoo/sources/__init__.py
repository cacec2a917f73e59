"""Where the sweep's models come from; one module for each family: `NAMES`, or `names()`, and `build(name)`."""
