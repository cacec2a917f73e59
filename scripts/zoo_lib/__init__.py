"""Parts of `scripts/zoo`."""
