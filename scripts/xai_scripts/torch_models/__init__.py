"""PyTorch models with random weights that are sane and nowhere trivial, and their conversion to OpenVINO IR."""
