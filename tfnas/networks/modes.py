"""Words that proxies, engine and launchers share: modes of batch normalisation, and sets of parameters.

Nothing here imports TensorFlow.
"""

# Batch normalisation by moving statistics, by those of each example alone, or by those of the batch.
BN_MODES = ("inference", "example", "batch")

# What is differentiated by: names of the parameters of a layer.
PARAMETER_SETS = {
    "kernels": ("kernel",),
    # Every parameter whose PyTorch name contains "weight": kernels and BN gamma (TE-NAS' choice).
    "te_nas": ("kernel", "gamma"),
    "all": ("kernel", "bias", "gamma", "beta"),
}
