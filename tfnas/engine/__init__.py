"""Runs layer graphs with kernels compiled once per layer signature; see `tfnas.engine.network`."""

from tfnas.engine.kernels import cache_size
from tfnas.engine.network import Forward, Gradients, Network
from tfnas.engine.ntk import block_slices, tangent_kernel
from tfnas.engine.plan import block_outputs

__all__ = ["Forward", "Gradients", "Network", "block_outputs", "block_slices", "cache_size", "tangent_kernel"]
