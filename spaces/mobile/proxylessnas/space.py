"""ProxylessNAS: 21 inverted residuals, each of them chosen alone.

Source: Cai et al., "ProxylessNAS" (ICLR 2019), section 4, and its published code. A layer is an inverted residual of
kernel 3, 5 or 7 and expansion 3 or 6, or is left out unless it begins a block: 6^6 * 7^15 = 2.2e17 architectures.
TuNAS (Bender et al. 2020) searches the kernel of the separable layer before them too: 6.6e17, the number that the
Neural Predictor paper (Wen et al. 2020) gives; `ProxylessNAS(first_kernels=(3, 5, 7))` is that space.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from spaces.base import NetworkConfig, Space
from spaces.mobile.proxylessnas import latency, network, strings
from spaces.mobile.proxylessnas.latency import LayerLatencies
from spaces.mobile.proxylessnas.strings import CHOICES, KERNELS, OPS, SKIP, ProxylessNet
from tfnas.errors import InputError
from tfnas.networks.graph import Graph
from tfnas.predictor.graphs import Graphs, equal_chains

if TYPE_CHECKING:
    import networkx
    from etils import epath


class ProxylessNAS(Space[ProxylessNet]):
    """The space.

    Flavours are the channels: `mobile`, `cpu`, `gpu` and `mobile_14` those of the released networks, `search` those
    with 24 channels in the first block, for which latencies are published.

    Args:
        first_kernels: kernels of the separable layer that are searched.

    Raises:
        InputError: other kernels than 3, 5 and 7, or none.
    """

    name = "proxylessnas"
    published = NetworkConfig(
        width=network.STEM,
        depth=1,
        classes=1000,
        input_shape=(224, 224, 3),
        bn_momentum=0.9,
        bn_epsilon=1e-3,
        flavour="mobile",
        stages=len(strings.LAYERS),
    )
    flavours = tuple(network.CHANNELS)
    init = "proxylessnas"

    def __init__(self, first_kernels: Sequence[int] = (3,)) -> None:
        kernels = tuple(first_kernels)
        if not kernels or not set(kernels) <= set(KERNELS) or len(set(kernels)) != len(kernels):
            raise InputError(f"Kernels of the first layer. Received: {kernels}. Allowed: different ones of {KERNELS}")
        self.first_kernels = kernels

    @property
    def size(self) -> int:
        return len(self.first_kernels) * math.prod(map(len, CHOICES))

    def sample(self, rng: np.random.Generator) -> ProxylessNet:
        """Every layer independent and uniform over its operations."""
        return strings.from_codes(self.sample_codes(rng, 1))[0]

    def sample_codes(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Many architectures as :func:`strings.to_codes` writes them, drawn as by `sample`: [count, 22] uint8."""
        kernels = np.array([KERNELS.index(kernel) for kernel in self.first_kernels], np.uint8)
        choices = np.array([len(ops) for ops in CHOICES])
        layers = rng.integers(choices, size=(count, len(choices)), dtype=np.uint8)
        return np.column_stack([kernels[rng.integers(len(kernels), size=count)], layers])

    def parse(self, text: str) -> ProxylessNet:
        return strings.parse(text)

    def mutate(self, arch: ProxylessNet, rng: np.random.Generator) -> ProxylessNet:
        """One layer, all that have a choice equally likely, gets another of its operations."""
        places = list(self._choices())
        layer, values = places[rng.integers(len(places))]
        others = [value for value in values if value != _get(arch, layer)]
        return _replace(arch, layer, others[rng.integers(len(others))])

    def neighbors(self, arch: ProxylessNet) -> list[ProxylessNet]:
        """Architectures with one layer changed; several may be one network."""
        return [
            _replace(arch, layer, value)
            for layer, values in self._choices()
            for value in values
            if value != _get(arch, layer)
        ]

    def canonical(self, arch: ProxylessNet) -> str:
        """The string with the skips of each block last: where in a block a layer is left out does not matter."""
        return str(arch.skips_last())

    def graph(self, arch: ProxylessNet) -> networkx.DiGraph:
        """A chain of the first layer and the 21, those left out being "skip"."""
        import networkx

        ops = ["input", f"k{arch.first}e1", *arch.ops, "output"]
        out = networkx.DiGraph(arch=str(arch))
        for node, op in enumerate(ops):
            out.add_node(node, op=op)
        networkx.add_path(out, range(len(ops)))
        return out

    def encode(self, arch: ProxylessNet) -> np.ndarray:
        """One-hot kernel of the first layer, then one-hot operations: [3 + 21 * 7]."""
        (first, *ops) = strings.to_codes([arch])[0]
        kernel, layers = np.eye(len(KERNELS), dtype=np.float32), np.eye(len(OPS), dtype=np.float32)
        return np.concatenate([kernel[first], layers[ops].ravel()])

    def features(self, archs: Sequence[ProxylessNet | str]) -> Graphs:
        """The chain of the first layer and the 21, one-hot over three kernels and seven operations: [N, 22, 10].

        The paper of Neural Predictor tells the seven alone.
        """
        return self.features_of_codes(strings.to_codes(self.parsed(archs)))

    def features_of_codes(self, codes: np.ndarray) -> Graphs:
        """As `features`, of codes [N, 22]."""
        places = codes + np.where(np.arange(codes.shape[1]), len(KERNELS), 0)
        return equal_chains(np.eye(len(KERNELS) + len(OPS), dtype=np.uint8)[places])

    def residual_connections(self, arch: ProxylessNet) -> int:
        """Layers that their input passes by unchanged: all that are there and begin no block."""
        return sum(op != SKIP for layer, op in enumerate(arch.ops) if layer not in strings.FIRST)

    def enumerate(self) -> Iterator[ProxylessNet]:
        """Every combination of the choices, the last layer changing fastest; the publication has no order."""
        for first in self.first_kernels:
            for ops in itertools.product(*CHOICES):
                yield ProxylessNet(ops, first)

    def latencies(self, path: epath.PathLike) -> LayerLatencies:
        """The published table or the linear model, see :mod:`spaces.mobile.proxylessnas.latency`."""
        return latency.read(path)

    def _choices(self) -> Iterator[tuple[int, tuple]]:
        """(layer, values) of all that have a choice; layer -1 is the kernel of the separable one."""
        if len(self.first_kernels) > 1:
            yield -1, self.first_kernels
        yield from enumerate(CHOICES)

    def _network(self, arch: ProxylessNet, config: NetworkConfig) -> Graph:
        return network.proxyless_graph(arch, config)


def _get(arch: ProxylessNet, layer: int) -> int | str:
    return arch.first if layer < 0 else arch.ops[layer]


def _replace(arch: ProxylessNet, layer: int, value: int | str) -> ProxylessNet:
    if layer < 0:
        return ProxylessNet(arch.ops, value)
    return ProxylessNet((*arch.ops[:layer], value, *arch.ops[layer + 1 :]), arch.first)
