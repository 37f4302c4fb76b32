"""Inference with kernels of networks: features, and the ridge regression on them."""

# numpy.logspace(-7, 2, 20) to six digits: the range of Park et al. 2020, relative to the mean eigenvalue of a kernel.
REGULARIZERS = tuple(float(f"{10 ** (-7 + 9 * i / 19):.6g}") for i in range(20))
