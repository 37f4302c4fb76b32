"""Runs a layer graph chain by chain, forward and backward.

No function is traced for a network as a whole. The driver walks the chains in Python and calls cached kernels, so the
first pass of a new architecture costs what a later one does as soon as its chains have been met.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfnas import memory
from tfnas.engine import first_order, kernels, walk
from tfnas.engine.memory import Footprint
from tfnas.engine.plan import Chain, live_nodes, make_chains
from tfnas.engine.reducers import Reducer
from tfnas.engine.signature import (
    BackwardResult,
    BackwardVariant,
    ChainRun,
    ForwardVariant,
    Params,
    Pulled,
    Saved,
    Statistics,
    Variant,
)
from tfnas.errors import InputError, unknown
from tfnas.networks.graph import Graph, Node
from tfnas.networks.modes import BN_MODES, PARAMETER_SETS

Tensor = Any


@dataclasses.dataclass
class Forward:
    """One forward pass and what backward passes need of it.

    Attributes:
        bn: BN mode it ran in.
        batch: number of examples N.
        keep: whether it kept what backward passes need.
        values: output by node name, for nodes still needed; None stands for a map of zeros.
        saved: by chain output.
        statistics: mean and biased variance that each BN layer used, by node; none for layers on moving statistics,
            nor where the pass was to keep nothing.
        codes: sum over all ReLUs of the counts of agreeing units [N, N] (float64), if asked for.
    """

    bn: str
    batch: int
    keep: bool
    values: dict[str, Tensor | None]
    saved: dict[str, Saved] = dataclasses.field(default_factory=dict)
    statistics: dict[str, Statistics] = dataclasses.field(default_factory=dict)
    codes: np.ndarray | None = None

    def add_codes(self, counts: np.ndarray) -> None:
        self.codes = counts if self.codes is None else self.codes + counts


@dataclasses.dataclass
class Gradients:
    """What :meth:`Network.gradients` gives.

    Attributes:
        params: gradients summed over the batch by "<node>.<param>". A missing key is a gradient of zeros.
        fisher: Fisher saliency by node, if asked for.
        pulled: by chain output what the Hessian product needs, if asked for.
    """

    params: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    fisher: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    pulled: dict[str, Pulled] | None = None


class Network:
    """A graph with weights, ready to run.

    Args:
        graph: the classifier.
        weights: arrays or tensors by "<node>.<param>".
        dtype: of all arithmetic, "float32" or "float64".
        fuse: False runs node by node, so that an observer sees every node.
        jit: compile kernels with XLA.

    Raises:
        MemoryError: the parameters take more than is left. So do passes, before they start.
    """

    def __init__(
        self,
        graph: Graph,
        weights: Mapping[str, Any],
        *,
        dtype: str = "float32",
        fuse: bool = True,
        jit: bool = False,
    ) -> None:
        self.graph = graph
        self.dtype = tf.as_dtype(dtype)
        self.jit = jit
        self.chains = make_chains(graph, fuse)
        self.live = live_nodes(graph)
        self._uses = {name: len(readers) for name, readers in graph.consumers.items()}
        self._kept = frozenset({graph.output, graph.features, graph.nodes[0].name})
        self._kept_for_backward = self._kept.union(
            name for chain in self.chains if not chain.is_linear for name in chain.inputs
        )
        # A network needs few, and again and again.
        self._maps_of_zeros: dict[tuple[int, ...], Tensor] = {}
        kept = {False: self._kept, True: self._kept_for_backward}
        self.footprint = Footprint(graph, self.chains, self.dtype.size, kept)
        memory.require(self.footprint.parameters, "the weights")
        memory.hold(self, self.footprint.parameters)
        self.weights = {key: self._tensor(weights[key]) for node in graph.nodes for key in node.param_keys()}
        self._params = {
            # A norm has its place even without gamma, beta and moving statistics.
            chain.output: tuple(
                self._layer_params(node) if node.params or node.op == "batch_norm" else None for node in chain.nodes
            )
            for chain in self.chains
        }

    def _tensor(self, value: Any) -> Tensor:
        # Of the ways to make a tensor of an array `tf.constant` is the fastest by far.
        make = tf.constant if isinstance(value, np.ndarray) else tf.convert_to_tensor
        return make(value, self.dtype)

    def _layer_params(self, node: Node) -> Params:
        return Params(
            **{param: self.weights[key] for (param, _), key in zip(node.params, node.param_keys(), strict=True)}
        )

    def with_weights(self, weights: Mapping[str, Any]) -> Network:
        """The same graph and settings with other weights."""
        fuse = len(self.chains) < len(self.graph.nodes) - 1
        return Network(self.graph, weights, dtype=self.dtype.name, fuse=fuse, jit=self.jit)

    def couples_examples(self, bn: str) -> bool:
        """Whether an example's logits depend on the other examples of the batch."""
        norms = [node for node in self.graph.nodes if node.op == "batch_norm"]
        return any(bn == "batch" or (bn == "inference" and not node["moving"]) for node in norms)

    # Forward -------------------------------------------------------------------------------------------------------

    def forward(
        self,
        images: Any,
        bn: str,
        *,
        keep: bool = True,
        statistics: bool = False,
        codes: bool = False,
        observer: Callable[[str, Tensor], None] | None = None,
        dead_branches: bool = True,
    ) -> Forward:
        """Run the network on images [N, H, W, C].

        Args:
            images: the batch.
            bn: "inference", "example" or "batch".
            keep: whether to keep what backward passes need.
            statistics: whether to keep at least the statistics that BN layers used.
            codes: whether to sum the agreement counts of all ReLU codes.
            observer: called with (node name, output) for the last node of every chain, in order.
            dead_branches: False skips layers from which the output cannot be reached, whose gradients are zero.

        Raises:
            InputError: an unknown BN mode, or images of another size than the graph's.
        """
        if bn not in BN_MODES:
            raise unknown("BN mode", bn, BN_MODES)
        images = tf.convert_to_tensor(images, self.dtype)
        if tuple(images.shape[1:]) != self.graph.input_shape:
            allowed = ", ".join(map(str, self.graph.input_shape))
            raise InputError(f"Images do not fit the network. Received: {tuple(images.shape)}. Allowed: (N, {allowed})")
        save = "all" if keep else "statistics" if statistics else "nothing"
        count = images.shape[0]
        run = Forward(bn, count, keep, {self.graph.nodes[0].name: images})
        held, most = (count * each for each in self.footprint.forward(keep, codes))
        memory.require(most + 16 * count**2 * codes, f"a forward pass of {count} images")
        memory.hold(run, held)
        # Values are dropped as soon as neither a later chain nor a backward pass reads them.
        values, uses, kept = run.values, dict(self._uses), self._kept_for_backward if keep else self._kept
        counted: dict[str, np.ndarray] = {}
        for chain in self.chains:
            if not dead_branches and chain.output not in self.live:
                values[chain.output] = None
                continue
            if codes and chain.layers[0].is_relu:
                self._count_codes(chain.inputs[0], run, counted)
            if chain.is_alias:
                inputs = [values.get(name) for name in chain.inputs]
                values[chain.output] = walk.alias_output(chain, inputs)
            else:
                variant = ForwardVariant(bn, self.jit, save, codes and chain.has_later_relu)
                values[chain.output] = self._run_chain(chain, variant, run)
            if observer is not None:
                observer(chain.output, *self.filled([chain.output], values, run.batch))
            for name in chain.inputs:
                uses[name] -= 1
                if not uses[name] and name not in kept:
                    values.pop(name, None)
        return run

    def _run_chain(self, chain: Chain, variant: ForwardVariant, run: Forward) -> Tensor:
        inputs = self.filled(chain.inputs, run.values, run.batch)
        result = kernels.call(first_order.forward, chain.layers, variant, inputs, self._params[chain.output])
        run.saved[chain.output] = result.saved
        for node, found in zip(chain.nodes, result.saved.statistics, strict=True):
            if found is not None:
                run.statistics[node.name] = found
        if result.codes is not None:
            run.add_codes(result.codes.numpy().astype(np.float64))
        return result.output

    def _count_codes(self, name: str, run: Forward, counted: dict[str, np.ndarray]) -> None:
        """Adds the codes of a ReLU of a node; ReLUs that read the same node share the count."""
        if name not in counted:
            counts = kernels.call(
                first_order.agreement, (), Variant(run.bn, self.jit), *self.filled([name], run.values, run.batch)
            )
            counted[name] = counts.numpy().astype(np.float64)
        run.add_codes(counted[name])

    def filled(self, names: Iterable[str], values: Mapping[str, Tensor | None], batch: int) -> tuple[Tensor, ...]:
        """Values of nodes, or their tangents; zeros where there are none."""
        found = [(name, values.get(name)) for name in names]
        return tuple(self._zeros(name, batch) if value is None else value for name, value in found)

    def _zeros(self, name: str, batch: int) -> Tensor:
        shape = (batch, *self.graph.by_name[name].shape)
        if shape not in self._maps_of_zeros:
            self._maps_of_zeros[shape] = tf.zeros(shape, self.dtype)
        return self._maps_of_zeros[shape]

    # Backward ------------------------------------------------------------------------------------------------------

    def gradients(
        self, run: Forward, cotangent: Any, *, params: str = "kernels", fisher: bool = False, keep: bool = False
    ) -> Gradients:
        """Gradients of parameters, summed over the batch, and what else the same pass can tell.

        Args:
            run: a forward pass with `keep`.
            cotangent: of the logits, [N, classes].
            params: a key of `tfnas.networks.modes.PARAMETER_SETS`.
            fisher: whether to compute Fisher saliencies.
            keep: whether to keep what :func:`tfnas.engine.hessian_product` needs.
        """
        found = Gradients(pulled={} if keep else None)
        size = self.footprint.parameters + run.batch * self.footprint.inner * keep
        memory.require(run.batch * self.footprint.backward + size, f"gradients of {run.batch} images")
        memory.hold(found, size)

        def receive(chain: Chain, dy: Tensor, result: BackwardResult) -> None:
            for node, values in zip(chain.nodes if result.params else (), result.params, strict=True):
                for param, value in zip(Params._fields, values or (), strict=bool(values)):
                    if value is not None:
                        found.params[f"{node.name}.{param}"] = value
            if result.fisher is not None:
                found.fisher[chain.kernel_node] = result.fisher
            if result.inner is not None:
                found.pulled[chain.output] = Pulled(dy, result.inner)

        variant = BackwardVariant(run.bn, self.jit, PARAMETER_SETS[params], fisher=fisher, keep=keep)
        self._pull(run, cotangent, variant, receive)
        return found

    def example_gradients(
        self, run: Forward, cotangent: Any, reducer: Reducer, *, params: str = "kernels"
    ) -> dict[str, Tensor]:
        """What a reducer makes of per-example gradients, by chain output; missing chains have gradients of zeros.

        Args:
            run: a forward pass with `keep`.
            cotangent: of the logits, [N, classes].
            reducer: one of `tfnas.engine.reducers`.
            params: a key of `tfnas.networks.modes.PARAMETER_SETS`.

        Raises:
            ValueError: BN couples the examples.
        """
        if self.couples_examples(run.bn):
            raise ValueError(f"BN mode {run.bn!r} couples the examples: per-example gradients need a pass for each")
        size = run.batch * self.footprint.example_gradients(reducer, run.batch)
        memory.require(size, f"gradients of each of {run.batch} images")
        found: dict[str, Tensor] = {}

        def receive(chain: Chain, dy: Tensor, result: BackwardResult) -> None:
            if result.reduced is not None:
                found[chain.output] = result.reduced

        self._pull(run, cotangent, BackwardVariant(run.bn, self.jit, PARAMETER_SETS[params], reducer), receive)
        return found

    def input_gradients(self, run: Forward, cotangent: Any, *, start: str = "", stop: str = "") -> Tensor:
        """Gradient [N, H, W, C] of the images, or of the output of another node.

        Args:
            run: a forward pass with `keep`.
            cotangent: of the logits [N, classes], or of the output of `start`.
            start: chain output at which the pass starts, the logits by default.
            stop: chain output whose gradient is wanted, the images by default; every path from `start` must cross it.
        """
        stop = stop or self.graph.nodes[0].name
        memory.require(run.batch * self.footprint.backward, f"gradients of {run.batch} images")
        found = self._pull(run, cotangent, BackwardVariant(run.bn, self.jit), lambda *_: None, start, stop)
        return self.filled([stop], {stop: found}, run.batch)[0]

    def _pull(
        self,
        run: Forward,
        cotangent: Any,
        variant: BackwardVariant,
        receive: Callable[[Chain, Tensor, BackwardResult], None],
        start: str = "",
        stop: str = "",
    ) -> Tensor | None:
        """Runs backward kernels from the output or `start`, and gives the cotangent of `stop` if there is one.

        Args:
            run: the forward pass.
            cotangent: of the node at which the pass starts.
            variant: what is asked for of chains that have it.
            receive: called with chain, cotangent of its output and result.
            start: a chain output.
            stop: a chain output, or the images.
        """
        if not run.keep:
            raise ValueError("The forward pass kept nothing for backward passes: run it with keep=True")
        source = stop or self.graph.nodes[0].name

        def pull(chain: Chain, dy: Tensor) -> Sequence[Tensor]:
            params = tuple(name for name in variant.params if name in chain.params)
            own = dataclasses.replace(
                variant,
                params=params,
                reducer=variant.reducer if params else None,
                fisher=variant.fisher and bool(chain.kernel_node),
                input_gradient=bool(stop) or chain.inputs != (source,),
            )
            result = kernels.call(first_order.backward, chain.layers, own, self.chain_run(chain, run), dy)
            receive(chain, dy, result)
            return result.inputs

        cotangent = tf.convert_to_tensor(cotangent, self.dtype)
        return walk.pull_back(self.chains, start or self.graph.output, cotangent, source, pull)

    def chain_run(self, chain: Chain, run: Forward) -> ChainRun:
        """A chain of a forward pass; zeros for inputs that linear chains do not need."""
        inputs = self.filled(chain.inputs, run.values, run.batch)
        return ChainRun(inputs, self._params[chain.output], run.saved[chain.output])
