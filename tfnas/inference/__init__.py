"""Inference with kernels of networks: features, and the ridge regression on them."""
