"""What passes through a network take of memory, from its chains alone.

Upper bounds that measured peaks stay below by less than a factor of about two once tensors are what counts. Constants
stand for what kernels hold inside: copies that convolutions bring into another order, and values computed again.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping

from tfnas.engine.plan import Chain, Layer, make_chains
from tfnas.engine.reducers import Gram, Reducer, Rows
from tfnas.networks.graph import Graph, Node

# Copies of what a kernel reads and gives that it holds at a time, forward and backward.
_FORWARD_COPIES = 3
_BACKWARD_COPIES = 3


@dataclasses.dataclass(frozen=True)
class Footprint:
    """Memory of one network.

    Attributes:
        graph: the network.
        chains: of it.
        itemsize: bytes of a number.
        kept: nodes whose values a forward pass keeps, without and with what backward passes need.
    """

    graph: Graph
    chains: tuple[Chain, ...]
    itemsize: int
    kept: Mapping[bool, frozenset[str]]

    @functools.cached_property
    def parameters(self) -> int:
        """Bytes of all parameters in the precision of the network."""
        return self.itemsize * parameters(self.graph)

    @functools.cached_property
    def widest(self) -> int:
        """Numbers of the largest parameter."""
        return max((math.prod(shape) for node in self.graph.nodes for _, shape in node.params), default=0)

    def forward(self, keep: bool, codes: bool = False) -> tuple[int, int]:
        """(bytes held afterwards, most bytes held at once) an image by a forward pass.

        Args:
            keep: whether it keeps what backward passes need.
            codes: whether it counts agreeing codes of ReLUs, which are float32.
        """
        held, most = self._forward[keep]
        return held * self.itemsize, most * self.itemsize + (8 * self._largest if codes else 0)

    @functools.cached_property
    def _forward(self) -> dict[bool, tuple[int, int]]:
        return {keep: self._walk(keep) for keep in (False, True)}

    def _walk(self, keep: bool) -> tuple[int, int]:
        kept, uses = self.kept[keep], {name: len(readers) for name, readers in self.graph.consumers.items()}
        values = {self.graph.nodes[0].name: _size(self.graph.nodes[0])}
        saved = most = 0
        for chain in self.chains:
            values[chain.output] = 0 if _hands_on(chain) else _size(chain.nodes[-1])
            if keep and chain.kernel_node not in ("", chain.output):
                saved += _size(self.graph.by_name[chain.kernel_node])
            most = max(most, sum(values.values()) + saved + _FORWARD_COPIES * _touched(chain))
            for name in chain.inputs:
                uses[name] -= 1
                if not uses[name] and name not in kept:
                    values.pop(name, None)
        return sum(values.values()) + saved, most

    @functools.cached_property
    def backward(self) -> int:
        """Most bytes an image held at once by a backward pass, besides what the forward pass has kept."""
        pending: dict[str, int] = {}
        most = 0
        for chain in reversed(self.chains):
            arriving = pending.pop(chain.output, 0)
            for name in chain.inputs:
                pending[name] = pending.get(name, 0) + _size(self.graph.by_name[name])
            most = max(most, arriving + sum(pending.values()) + _BACKWARD_COPIES * _touched(chain))
        return most * self.itemsize

    @functools.cached_property
    def inner(self) -> int:
        """Bytes an image that a backward pass keeps for Hessian products: cotangents behind chains and inside them."""
        sizes = (
            _size(chain.nodes[-1]) + (_size(self.graph.by_name[chain.kernel_node]) if chain.kernel_node else 0)
            for chain in self.chains
            if not chain.is_alias
        )
        return self.itemsize * sum(sizes)

    def example_gradients(self, reducer: Reducer, count: int) -> int:
        """Most bytes an image held at once by a backward pass that reduces the gradients of each of `count`."""
        each, results = 2 * self.itemsize, 0
        if isinstance(reducer, Gram):
            each += 8 * reducer.exact
            results = 8 * len(self.chains) * (reducer.anchors or count)
        elif isinstance(reducer, Rows):
            results = 2 * self.parameters
        slabs = max((self._slabs(layer, each) for layer in self._kernel_layers()), default=0)
        return self.backward + slabs + results

    def examples(self, reducer: Reducer, count: int) -> int:
        """Most bytes an image held at once by a forward pass and the reduction that follows."""
        held, most = self.forward(keep=True)
        return max(most, held + self.example_gradients(reducer, count))

    def _slabs(self, layer: Layer, each: int) -> int:
        shape = dict(layer.params)["kernel"]
        taps = 1 if layer.op == "dense" else math.prod(shape[:2])
        windows = taps * math.prod(layer.shape[:-1]) * layer.input_shapes[0][-1]
        return each * math.prod(shape) + self.itemsize * windows

    def _kernel_layers(self) -> Iterable[Layer]:
        return (layer for chain in self.chains for layer in chain.layers if layer.has_kernel)

    @functools.cached_property
    def _largest(self) -> int:
        return max(_size(node) for node in self.graph.nodes)


def parameters(graph: Graph) -> int:
    """Number of all parameters of a network, moving statistics too."""
    return sum(math.prod(shape) for node in graph.nodes for _, shape in node.params)


def training(graph: Graph, batch: int, test_batch: int, itemsize: int = 4) -> int:
    """Bytes that training a network and testing it take, the data aside.

    A step keeps what chains read and give; weights have a gradient, slots of an optimiser, an average and next values.
    """
    chains = make_chains(graph)
    everything = frozenset(name for chain in chains for name in (chain.output, *chain.inputs))
    ends = frozenset({graph.nodes[0].name, graph.output})
    footprint = Footprint(graph, chains, itemsize, {False: ends, True: everything})
    step = footprint.forward(keep=True)[1] + footprint.backward
    return 8 * footprint.parameters + max(batch * step, test_batch * footprint.forward(keep=False)[1])


def _size(node: Node) -> int:
    return math.prod(node.shape)


def _hands_on(chain: Chain) -> bool:
    return chain.is_alias and (len(chain.inputs) == 1 or chain.layers[0].op == "zero")


def _touched(chain: Chain) -> int:
    """Numbers an image that a chain reads and that its layers give; none for aliases but sums."""
    if _hands_on(chain):
        return 0
    if chain.is_alias:
        return _size(chain.nodes[-1])
    return sum(map(math.prod, chain.layers[0].input_shapes)) + sum(math.prod(layer.shape) for layer in chain.layers)
