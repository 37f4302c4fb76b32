"""Runs layer graphs, and differentiates them, with kernels compiled once per layer signature.

A network is a graph with weights. A forward pass keeps what backward passes need of it; each kind of backward pass
pulls a cotangent [N, classes] of the logits back:

    >>> import numpy as np
    >>> from tfnas.engine import Gram, Network
    >>> from tfnas.networks import weights
    >>> from tfnas.networks.builder import GraphBuilder
    >>> b = GraphBuilder((8, 8, 3))
    >>> x = b.activation("relu", b.conv("conv", "input", 4, 3))
    >>> graph = b.finish(b.dense("head", b.global_avg_pool("pool", x), 2))
    >>> network = Network(graph, weights.initialize(graph), dtype="float64")
    >>> images = np.random.default_rng(0).standard_normal((5, 8, 8, 3))
    >>> run = network.forward(images, bn="inference")
    >>> run.values[graph.output].shape
    TensorShape([5, 2])

Gradients of the sum of all logits, by the parameters and by the images:

    >>> ones = np.ones((5, 2))
    >>> gradients = network.gradients(run, ones, params="all").params
    >>> {key: tuple(value.shape) for key, value in gradients.items()}
    {'head.kernel': (4, 2), 'head.bias': (2,), 'conv.kernel': (3, 3, 3, 4)}
    >>> network.input_gradients(run, ones).shape
    TensorShape([5, 8, 8, 3])

Gradients of each example's logits are reduced inside the kernels that make them, chain by chain. Here to their inner
products; the sum of all is the squared norm of the gradient above:

    >>> by_chain = network.example_gradients(run, ones, Gram(), params="all")
    >>> gram = sum(value.numpy() for value in by_chain.values())
    >>> gram.shape
    (5, 5)
    >>> squares = sum(np.sum(value.numpy() ** 2) for value in gradients.values())
    >>> bool(np.isclose(gram.sum(), squares))
    True

Rooms: `plan` cuts graphs into chains; `signature` types what kernels take and give; `first_order` and `second_order`
are the kernels of chains, made of `convolution`, `normalization` and `simple` layers and of `reducers`; `kernels`
traces and keeps them; `network`, `hessian` and `ntk` drive them, by the rules of `walk`. `reference` is the slow way.
"""

from tfnas.engine.hessian import hessian_product
from tfnas.engine.kernels import cache_size
from tfnas.engine.network import Forward, Gradients, Network
from tfnas.engine.ntk import block_slices, tangent_kernel
from tfnas.engine.plan import block_outputs, loses_images
from tfnas.engine.reducers import Gram, Reducer, Rows, SignSums

__all__ = [
    "Forward",
    "Gradients",
    "Gram",
    "Network",
    "Reducer",
    "Rows",
    "SignSums",
    "block_outputs",
    "block_slices",
    "cache_size",
    "hessian_product",
    "loses_images",
    "tangent_kernel",
]
