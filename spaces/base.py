"""What a search space is: architectures, how they change, and how each becomes a network.

Nothing here imports TensorFlow; only :meth:`Space.build` does, when it is called.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np

from tfnas.errors import InputError, unknown
from tfnas.networks import flops
from tfnas.networks.builder import MOST_LAYERS
from tfnas.networks.graph import Graph
from tfnas.predictor.graphs import Graphs, of_graphs
from tfnas.progress import Progress

if TYPE_CHECKING:
    import keras
    import networkx
    import pandas as pd
    from etils import epath


@functools.total_ordering
class Architecture(abc.ABC):
    """A point of a space. Subclasses are frozen dataclasses, hence hashable; they are ordered by their string.

    `str(architecture)` is the key of everything that is stored about it, and the space's `parse` reads it back.
    """

    @abc.abstractmethod
    def __str__(self) -> str: ...

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Architecture):
            return NotImplemented
        return str(self) < str(other)


ArchitectureT = TypeVar("ArchitectureT", bound=Architecture)


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """Everything about a network that the architecture itself leaves open.

    Attributes:
        width: channels of the first stage; 0 where the architecture itself fixes all widths.
        depth: cells in each stage.
        classes: number of logits.
        input_shape: (height, width, channels) of an image.
        bn_momentum: kept share of the old moving statistics (the Keras convention; PyTorch 0.1 is 0.9 here).
        bn_epsilon: added to the variance.
        flavour: which published implementation of the space to follow.
        stages: stages of `depth` cells.
    """

    width: int
    depth: int
    classes: int
    input_shape: tuple[int, int, int]
    bn_momentum: float
    bn_epsilon: float
    flavour: str
    stages: int = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_shape", tuple(int(size) for size in self.input_shape))
        if self.width < 0 or min(self.depth, self.classes, self.stages) < 1:
            raise InputError(
                "A network needs width, depth, classes and stages of 1 or more. Received: "
                f"width={self.width}, depth={self.depth}, classes={self.classes}, stages={self.stages}"
            )
        if self.depth * self.stages > MOST_LAYERS:  # a cell has a layer at least
            raise InputError(
                f"A network of {self.depth} cells in each of {self.stages} stages is not built. "
                f"Received: depth={self.depth}. Allowed: up to {MOST_LAYERS // self.stages}"
            )
        if len(self.input_shape) != 3 or min(self.input_shape) < 1:
            raise InputError(f"input_shape must be (height, width, channels). Received: {self.input_shape}")
        if not 0 <= self.bn_momentum <= 1 or not self.bn_epsilon > 0:
            raise InputError(
                "bn_momentum must lie in [0, 1] and bn_epsilon above 0. "
                f"Received: bn_momentum={self.bn_momentum}, bn_epsilon={self.bn_epsilon}"
            )


class Sizes(NamedTuple):
    """Sizes of a network, its FLOPs for one image as `tfnas.networks.flops` counts them.

    Attributes:
        params: trainable parameters.
        forward: FLOPs of convolutions and dense layers in a forward pass.
        others: FLOPs of all other layers in a forward pass.
        gradient: FLOPs of the gradients of convolutions and dense layers, without the forward pass.
    """

    params: int
    forward: int
    others: int
    gradient: int


class Space(abc.ABC, Generic[ArchitectureT]):
    """A finite set of architectures and the networks that they stand for.

    Attributes:
        name: key in the registry.
        published: network constants of the publication, the defaults of `config`.
        flavours: published implementations whose networks differ; the first is the benchmark's own.
        size: number of architectures as the publication counts them.
        init: scheme of the published initial weights, one of `tfnas.networks.weights.SCHEMES`.
        any_stages: whether networks of another number of stages than the published exist.
        min_width: the least width with which all architectures have a network.
        merges_isomorphic: whether the benchmark trained one network for all architectures of one canonical form.
        operations: all that nodes of `graph` can be, for predictors.
    """

    name: ClassVar[str]
    published: ClassVar[NetworkConfig]
    flavours: ClassVar[tuple[str, ...]]
    size: ClassVar[int]
    init: ClassVar[str] = "torch"
    any_stages: ClassVar[bool] = False
    min_width: ClassVar[int] = 1
    merges_isomorphic: ClassVar[bool] = False
    operations: ClassVar[tuple[str, ...]] = ()

    @abc.abstractmethod
    def sample(self, rng: np.random.Generator) -> ArchitectureT:
        """One architecture, as the publication draws it."""

    def sample_uniform(self, rng: np.random.Generator) -> ArchitectureT:
        """One architecture, uniform over those of the benchmark, where `sample` prefers some of them."""
        return self.sample(rng)

    @abc.abstractmethod
    def parse(self, text: str) -> ArchitectureT:
        """The architecture of a string; the inverse of `str`.

        Raises:
            InputError: no architecture of this space, with what is wrong.
        """

    @abc.abstractmethod
    def mutate(self, arch: ArchitectureT, rng: np.random.Generator) -> ArchitectureT:
        """A child, by the mutation rule of the reference search."""

    @abc.abstractmethod
    def neighbors(self, arch: ArchitectureT) -> list[ArchitectureT]:
        """All architectures one change away, each once, without `arch`."""

    @abc.abstractmethod
    def canonical(self, arch: ArchitectureT) -> str:
        """A key that is equal for architectures which the publication counts as one network."""

    @abc.abstractmethod
    def graph(self, arch: ArchitectureT) -> networkx.DiGraph:
        """The architecture as an acyclic graph with its operation in the attribute `op` of each node."""

    @abc.abstractmethod
    def encode(self, arch: ArchitectureT) -> np.ndarray:
        """The architecture as a float32 vector [d], one d for the whole space."""

    def features(self, archs: Sequence[ArchitectureT | str]) -> Graphs:
        """Architectures as arrays for predictors, each node with as many features in the whole space.

        The nodes of `graph`, one-hot over `operations`, unless a space has a faster or a fuller way.

        Raises:
            InputError: the space tells no operations, or as `parse`.
        """
        if not self.operations:
            raise InputError(f"Architectures of this space have no features for predictors. Received: {self.name!r}")
        return of_graphs([self.graph(arch) for arch in self.parsed(archs)], self.operations)

    def features_of_all(self) -> Graphs:
        """Those of all architectures, in the order of `enumerate`; only for spaces that memory holds."""
        return self.features(list(self.enumerate()))

    def parsed(self, archs: Sequence[ArchitectureT | str]) -> list[ArchitectureT]:
        """Architectures of which some may be strings.

        Raises:
            InputError: as `parse`.
        """
        return [self.parse(arch) if isinstance(arch, str) else arch for arch in archs]

    @abc.abstractmethod
    def enumerate(self) -> Iterator[ArchitectureT]:
        """All architectures, in the order of the benchmark's index."""

    @abc.abstractmethod
    def _network(self, arch: ArchitectureT, config: NetworkConfig) -> Graph:
        """The network of an architecture."""

    def residual_connections(self, arch: ArchitectureT) -> int:
        """How many residual connections an architecture has.

        Raises:
            InputError: the space defines none.
        """
        raise InputError(f"Residual connections are not defined in this space. Received: space {self.name!r}")

    def latencies(self, path: epath.PathLike) -> Any:
        """Latencies by layer of a file, with `of(archs)` and `sample(space, rng, count, low, high)`.

        Raises:
            InputError: none are published for the space, or the file is another.
        """
        raise InputError(f"No latencies by layer are published for this space. Received: {self.name!r}, {path}")

    def sample_distinct(self, rng: np.random.Generator, count: int) -> list[ArchitectureT]:
        """`count` different architectures, each drawn by `sample_uniform` until it is new.

        Raises:
            InputError: more than the space has.
        """
        if not 0 <= count <= self.size:
            raise InputError(f"{self.name} has {self.size} architectures. Received: {count}")
        found: dict[ArchitectureT, None] = {}
        while len(found) < count:
            found[self.sample_uniform(rng)] = None
        return list(found)

    def config(self, **overrides: Any) -> NetworkConfig:
        """The published network constants with some replaced; None stands for the published value.

        Raises:
            InputError: an unknown constant or flavour, or a value out of range.
        """
        allowed = [field.name for field in dataclasses.fields(NetworkConfig)]
        for key in overrides:
            if key not in allowed:
                raise unknown("network setting", key, allowed)
        given = {key: value for key, value in overrides.items() if value is not None}
        config = dataclasses.replace(self.published, **given)
        if config.flavour not in self.flavours:
            raise unknown(f"flavour of {self.name}", config.flavour, self.flavours)
        if config.stages != self.published.stages and not self.any_stages:
            raise InputError(
                f"Networks of {self.name} have {self.published.stages} stages. Received: stages={config.stages}"
            )
        if (config.width == 0) != (self.published.width == 0):
            raise InputError(
                f"The width of a network of {self.name} is "
                + (
                    f"1 or more. Received: {config.width}"
                    if config.width == 0
                    else f"fixed by its architecture. Received: {config.width}"
                )
            )
        return config

    def layer_graph(self, arch: ArchitectureT | str, **network: Any) -> Graph:
        """The network of an architecture, or of its string, as a layer graph; keywords as in `config`."""
        return self._network(self.parse(arch) if isinstance(arch, str) else arch, self.config(**network))

    def build(self, arch: ArchitectureT | str, *, init: str = "", seed: int = 0, **network: Any) -> keras.Model:
        """The network of an architecture as a Keras model that returns logits.

        Args:
            arch: the architecture or its string.
            init: scheme of the initial weights, one of `tfnas.networks.weights.SCHEMES` (the published one by default).
            seed: of the initial weights.
            **network: as in `config`.
        """
        from tfnas.networks import keras_model, weights

        graph = self.layer_graph(arch, **network)
        return keras_model.to_keras(graph, weights.initialize(graph, init or self.init, seed))

    def sizes(self, archs: Sequence[ArchitectureT | str], **network: Any) -> pd.DataFrame:
        """Sizes of many networks, with progress.

        Args:
            archs: N architectures or their strings.
            **network: as in `config`.

        Returns:
            [N, 4]: columns as in :class:`Sizes`, int64, indexed by the strings as they were given.
        """
        import pandas as pd

        config = self.config(**network)
        rows = []
        with Progress(f"sizes of networks of {self.name}", len(archs)) as bar:
            for arch in archs:
                rows.append(self._sizes(self.parse(arch) if isinstance(arch, str) else arch, config))
                bar.advance()
        index = pd.Index([str(arch) for arch in archs], dtype="str", name="arch")
        values = np.array(rows, np.int64).reshape(-1, len(Sizes._fields))
        return pd.DataFrame(values, index, columns=list(Sizes._fields))

    def _sizes(self, arch: ArchitectureT, config: NetworkConfig) -> Sizes:
        """Sizes of one network; a space with a faster way than through its layers overrides this."""
        graph = self._network(arch, config)
        return Sizes(graph.count_params(), *flops.forward_flops(graph), flops.gradient_flops(graph))
