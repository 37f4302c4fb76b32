"""Runs a layer graph chain by chain: forward, backward, and the tangents that second derivatives need.

No function is traced for a network as a whole. The driver walks the chains in Python and calls cached kernels, so the
first pass of a new architecture costs what a later one does as soon as its chains have been met.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfnas.engine import kernels
from tfnas.engine.normalization import BN_MODES
from tfnas.engine.plan import Chain, live_nodes, make_chains
from tfnas.errors import unknown
from tfnas.networks.graph import Graph

Tensor = Any


@dataclasses.dataclass
class Forward:
    """One forward pass and what backward passes need of it.

    Attributes:
        bn: BN mode it ran in.
        batch: number of examples N.
        values: output by node name, for nodes still needed; None stands for a map of zeros.
        saved: by chain output: z of its kernel layer, mean and variance of its BN layers.
        codes: sum over all ReLUs of the counts of agreeing units [N, N] (float64), if asked for.
    """

    bn: str
    batch: int
    values: dict[str, Tensor | None]
    saved: dict[str, list[Tensor]]
    codes: np.ndarray | None = None


@dataclasses.dataclass
class Gradients:
    """What one backward pass gives.

    Attributes:
        inputs: gradient of the node at which the pass stopped, if asked for (the images by default).
        params: form "batch": gradient by "<node>.<param>". A missing key is a gradient of zeros.
        reduced: form "example": what the reducer made of each chain's parameter gradients, by chain output.
        fisher: Fisher saliency by node.
        cotangents: cotangent of each chain's output, with `keep`.
        kept: with `keep`, by chain output: cotangent of the output of its kernel layer, slopes of those of its BNs.
    """

    inputs: Tensor | None = None
    params: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    reduced: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    fisher: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    cotangents: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    kept: dict[str, list[Tensor]] = dataclasses.field(default_factory=dict)


class Network:
    """A graph with weights, ready to run.

    Args:
        graph: the classifier.
        weights: arrays by "<node>.<param>".
        dtype: of all arithmetic, "float32" or "float64".
        fuse: False runs node by node, so that an observer sees every node.
        jit: compile kernels with XLA.
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
        self.weights = {key: tf.constant(weights[key], self.dtype) for node in graph.nodes for key in node.param_keys()}
        # Per chain, its parameters in the order that kernels take them.
        self._params = {
            chain.output: [self.weights[key] for node in chain.nodes for key in node.param_keys()]
            for chain in self.chains
        }
        self._live = live_nodes(graph)
        self._uses = {name: len(readers) for name, readers in graph.consumers.items()}
        self._kept = {graph.output, graph.features, graph.nodes[0].name}
        self._kept_for_backward = self._kept.union(
            name for chain in self.chains if not chain.is_linear for name in chain.inputs
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
        """
        if bn not in BN_MODES:
            raise unknown("BN mode", bn, BN_MODES)
        images = tf.convert_to_tensor(images, self.dtype)
        batch = images.shape[0]
        save = "all" if keep else "statistics" if statistics else "nothing"
        options = kernels.Options(bn=bn, codes=codes, save=save, jit=self.jit)
        values: dict[str, Tensor | None] = {self.graph.nodes[0].name: images}
        run = Forward(bn, batch, values, {})
        # Values are dropped as soon as neither a later chain nor a backward pass reads them.
        uses = dict(self._uses)
        kept = self._kept_for_backward if keep else self._kept
        counted: dict[str, np.ndarray] = {}
        for chain in self.chains:
            if not dead_branches and chain.output not in self._live:
                values[chain.output] = None
                continue
            inputs = [values.get(name) for name in chain.inputs]
            if codes:
                self._count_codes(chain, inputs[0], batch, counted, run)
            op = chain.layers[0].op
            if op == "zero":
                values[chain.output] = None
            elif op == "identity":
                values[chain.output] = inputs[0]
            elif op == "add":
                alive = [value for value in inputs if value is not None]
                values[chain.output] = alive[0] if len(alive) == 1 else tf.add_n(alive) if alive else None
            else:
                values[chain.output] = self._run_chain(chain, inputs, options, run)
            if observer is not None:
                value = values[chain.output]
                observer(chain.output, self._zeros(batch, chain.output) if value is None else value)
            for name in chain.inputs:
                uses[name] -= 1
                if not uses[name] and name not in kept:
                    values.pop(name, None)
        return run

    def _run_chain(self, chain: Chain, inputs: list, options: kernels.Options, run: Forward) -> Tensor:
        has_later_relu = any(layer.op == "activation" for layer in chain.layers[1:])
        options = dataclasses.replace(options, codes=options.codes and has_later_relu)
        args = self._materialize(chain, inputs, run.batch) + self._params[chain.output]
        count = kernels.saved_count(chain.layers, run.bn, options.save)
        output, *rest = kernels.call("forward", chain.layers, options, args)
        run.saved[chain.output] = rest[:count]
        if len(rest) > count:
            run.codes = rest[count].numpy().astype(np.float64) + (0 if run.codes is None else run.codes)
        return output

    def _count_codes(self, chain: Chain, value: Tensor | None, batch: int, counted: dict, run: Forward) -> None:
        """Codes of a ReLU that heads a chain; ReLUs that read the same value share the count."""
        head = chain.layers[0]
        if head.op != "activation" or head["kind"] != "relu":
            return
        name = chain.inputs[0]
        if name not in counted:
            value = self._zeros(batch, name) if value is None else value
            (counts,) = kernels.call("agreement", (), kernels.Options(run.bn, jit=self.jit), [value])
            counted[name] = counts.numpy().astype(np.float64)
        run.codes = counted[name] + (0 if run.codes is None else run.codes)

    def _zeros(self, batch: int, name: str) -> Tensor:
        return tf.zeros([batch, *self.graph.by_name[name].shape], self.dtype)

    def _materialize(self, chain: Chain, inputs: list[Tensor | None], batch: int) -> list[Tensor]:
        return [
            self._zeros(batch, name) if value is None else value
            for name, value in zip(chain.inputs, inputs, strict=True)
        ]

    def _chain_arguments(self, chain: Chain, run: Forward) -> list[Tensor]:
        """Inputs, parameters and saved values of a chain; zeros for inputs that linear chains do not need."""
        inputs = self._materialize(chain, [run.values.get(name) for name in chain.inputs], run.batch)
        return [*inputs, *self._params[chain.output], *run.saved[chain.output]]

    def batch_statistics(self, run: Forward) -> dict[str, tuple[Tensor, Tensor]]:
        """Mean and biased variance that each BN layer used, by node; none for layers on moving statistics."""
        found = {}
        for chain in self.chains:
            saved = run.saved.get(chain.output, ())
            has_outputs = len(saved) == kernels.saved_count(chain.layers, run.bn)
            saved = iter(saved)
            for node, layer in zip(chain.nodes, chain.layers, strict=True):
                if layer.has_kernel and has_outputs:
                    next(saved)
                elif kernels.saves_statistics(layer, run.bn):
                    found[node.name] = (next(saved), next(saved))
        return found

    # Backward ------------------------------------------------------------------------------------------------------

    def backward(
        self,
        run: Forward,
        cotangent: Any,
        *,
        form: str = "batch",
        params: str = "kernels",
        reducer: str = "",
        anchors: int = 0,
        fisher: bool = False,
        keep: bool = False,
        inputs: bool = False,
        start: str = "",
        stop: str = "",
    ) -> Gradients:
        """Pull a cotangent back through a forward pass.

        Args:
            run: a forward pass with `keep`.
            cotangent: of the logits [N, classes], or of the output of node `start`.
            form: what becomes of parameter gradients: "none", "batch" (summed over examples) or "example" (given to
                `reducer` one example at a time; only where BN does not couple examples).
            params: which parameters: "kernels", "te_nas" or "all".
            reducer: "sign_sums", "gram", "quick_gram" or "rows".
            anchors: rows of a Gram matrix that are wanted, 0 for all: those of the first so many examples.
            fisher: whether to compute Fisher saliencies.
            keep: whether to keep what :meth:`hessian_product` needs.
            inputs: whether the gradient of the node at which the pass stops is wanted.
            start: chain output at which the pass starts, the logits by default.
            stop: chain output at which it stops, the images by default; every path from `start` must cross it.

        Raises:
            ValueError: for per-example gradients where BN couples the examples.
        """
        if form == "example" and self.couples_examples(run.bn):
            raise ValueError(f"BN mode {run.bn!r} couples the examples: per-example gradients need a pass for each")
        gradients = Gradients()
        options = kernels.Options(
            bn=run.bn,
            form=form,
            params=params,
            reducer=reducer,
            anchors=anchors,
            fisher=fisher,
            keep=keep,
            jit=self.jit,
        )
        pending: dict[str, list[Tensor]] = {start or self.graph.output: [tf.convert_to_tensor(cotangent, self.dtype)]}
        source = stop or self.graph.nodes[0].name
        for chain in reversed(self.chains):
            if chain.output == source:
                break
            parts = pending.pop(chain.output, None)
            if parts is None or chain.layers[0].op == "zero":
                continue
            dy = parts[0] if len(parts) == 1 else tf.add_n(parts)
            if keep:
                gradients.cotangents[chain.output] = dy
            if chain.layers[0].op in ("identity", "add"):
                pulled = [dy] * len(chain.inputs)
            else:
                wants_input = chain.inputs != (source,) or inputs
                chain_options = dataclasses.replace(options, input_gradient=wants_input)
                pulled = self._pull_chain(chain, run, dy, chain_options, gradients)
            for name, part in zip(chain.inputs, pulled, strict=False):
                pending.setdefault(name, []).append(part)
        if inputs:
            parts = pending.get(source)
            gradients.inputs = tf.add_n(parts) if parts else self._zeros(run.batch, source)
        return gradients

    def _pull_chain(
        self, chain: Chain, run: Forward, dy: Tensor, options: kernels.Options, gradients: Gradients
    ) -> list[Tensor]:
        kernel_node = self._kernel_node(chain)
        if not kernel_node:
            options = dataclasses.replace(options, fisher=False)
        wanted = kernels.wanted_params(chain.layers, options)
        if not wanted:
            options = dataclasses.replace(options, form="none", reducer="", anchors=0)
        outputs = iter(kernels.call("backward", chain.layers, options, [*self._chain_arguments(chain, run), dy]))
        pulled = [next(outputs) for _ in chain.inputs] if options.input_gradient else []
        if options.fisher:
            gradients.fisher[kernel_node] = next(outputs)
        if options.keep:
            gradients.kept[chain.output] = list(itertools.islice(outputs, kernels.kept_count(chain.layers, run.bn)))
        if options.form == "batch":
            for (position, param), value in zip(wanted, outputs, strict=True):
                gradients.params[f"{chain.nodes[position].name}.{param}"] = value
        elif options.form == "example":
            gradients.reduced[chain.output] = next(outputs)
        return pulled

    # Second derivatives --------------------------------------------------------------------------------------------

    def hessian_product(
        self,
        run: Forward,
        gradients: Gradients,
        direction: Mapping[str, Tensor],
        curvature: Callable[[Tensor], Tensor],
        *,
        dot: bool = False,
    ) -> dict[str, Tensor]:
        """Product of the Hessian of a loss (by the kernels) with a direction.

        Forward-over-reverse: tangents run forward once and the tangent of the backward pass runs back once, each as
        chains of cached kernels, so the cost is about two gradients whatever the direction.

        Args:
            run: forward pass.
            gradients: backward pass of the loss with `keep` and the gradients of the kernels.
            direction: by "<node>.kernel"; missing: zeros.
            curvature: maps the tangent of the logits to the tangent of their cotangent, both [N, classes].
            dot: give <kernel, Hv> of each kernel instead of Hv, for two convolutions a layer less.

        Returns:
            Hv (or its products) by "<node>.kernel"; missing keys are zeros.
        """
        options = kernels.Options(bn=run.bn, jit=self.jit)
        us, moved = self._tangents(run, gradients, direction, options)
        product: dict[str, Tensor] = {}
        pending: dict[str, list[Tensor]] = {self.graph.output: [curvature(us[self.graph.output])]}
        source = self.graph.nodes[0].name
        for chain in reversed(self.chains):
            dy = gradients.cotangents.get(chain.output)
            parts = pending.pop(chain.output, None)
            if dy is None:
                continue
            dy_dot = tf.zeros_like(dy) if not parts else parts[0] if len(parts) == 1 else tf.add_n(parts)
            if chain.layers[0].op in ("identity", "add"):
                pulled = [dy_dot] * len(chain.inputs)
            else:
                args = self._chain_arguments(chain, run)
                args += self._materialize(chain, [us.get(name) for name in chain.inputs], run.batch)
                args += moved.get(chain.output, []) + gradients.kept[chain.output]
                kernel = self._kernel_node(chain)
                if kernel:
                    args += [self._kernel_map(values, f"{kernel}.kernel") for values in (direction, gradients.params)]
                chain_options = dataclasses.replace(
                    options, dot=dot, input_gradient=chain.inputs != (source,) or not kernel
                )
                outputs = kernels.call("backward_tangent", chain.layers, chain_options, [*args, dy, dy_dot])
                pulled = outputs[: len(chain.inputs)] if chain_options.input_gradient else []
                if kernel:
                    product[f"{kernel}.kernel"] = outputs[-1]
            for name, part in zip(chain.inputs, pulled, strict=False):
                pending.setdefault(name, []).append(part)
        return product

    def _tangents(
        self, run: Forward, gradients: Gradients, direction: Mapping[str, Tensor], options: kernels.Options
    ) -> tuple[dict[str, Tensor | None], dict[str, list[Tensor]]]:
        """Tangents of all values when the kernels move along `direction`, and what the tangent kernels keep.

        Only chains through which the loss is differentiated move; None stands for zeros.
        """
        us: dict[str, Tensor | None] = {self.graph.nodes[0].name: None}
        moved: dict[str, list[Tensor]] = {}
        for chain in self.chains:
            inputs = [us.get(name) for name in chain.inputs]
            alive = [u for u in inputs if u is not None]
            kernel = self._kernel_node(chain)
            if chain.output not in gradients.cotangents or not (alive or kernels.saved_count(chain.layers, run.bn)):
                us[chain.output] = None
            elif chain.layers[0].op in ("identity", "add"):
                us[chain.output] = alive[0] if len(alive) == 1 else tf.add_n(alive)
            else:
                args = self._chain_arguments(chain, run) + self._materialize(chain, inputs, run.batch)
                if kernel:
                    args.append(self._kernel_map(direction, f"{kernel}.kernel"))
                us[chain.output], *moved[chain.output] = kernels.call("tangent", chain.layers, options, args)
        return us, moved

    def _kernel_node(self, chain: Chain) -> str:
        """Name of the chain's layer with a kernel, "" if it has none."""
        return next((node.name for node, layer in zip(chain.nodes, chain.layers, strict=True) if layer.has_kernel), "")

    def _kernel_map(self, values: Mapping[str, Tensor], key: str) -> Tensor:
        """Zeros where a kernel has no entry."""
        value = values.get(key)
        return tf.zeros_like(self.weights[key]) if value is None else tf.convert_to_tensor(value, self.dtype)
