"""Models as exporters write them, and what `xai-explain` makes of them and a photo."""
