"""Loss and gradients of a batch: one forward and one backward pass of a network by the kernels of the engine.

Kernels are traced once a process, so a new network of a space costs no tracing. Weights are arguments. Where layers are
frozen the backward pass ends at the first trained one, and nothing is kept for what is not differentiated; their BN
layers normalise by the batch like all others, as frozen layers of PyTorch do.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tfnas.engine import convolution, first_order, kernels, walk
from tfnas.engine.plan import Chain, Layers, live_nodes, make_chains
from tfnas.engine.signature import BackwardVariant, ChainRun, ForwardVariant, Params
from tfnas.networks.graph import Graph, Node
from tfnas.networks.modes import PARAMETER_SETS

Tensor = Any


class Outcome(NamedTuple):
    """What a training pass gives.

    Attributes:
        loss: mean cross-entropy.
        correct: number of right answers.
        gradients: by "<node>.<param>"; a missing one is zeros.
        statistics: mean and biased variance of the batch in each BN layer, by "<node>.moving_mean" and
            "<node>.moving_variance".
    """

    loss: Tensor
    correct: Tensor
    gradients: dict[str, Tensor]
    statistics: dict[str, Tensor]


@dataclasses.dataclass(frozen=True)
class _Step:
    """A chain and what a training pass does with it.

    Attributes:
        chain: it.
        layers: its layers, with the precision of products among their attributes.
        params: names of its trained parameters.
        needs: whether any trained parameter lies in it or before it.
        inner: whether one lies before it, so that the gradient has to go on.
    """

    chain: Chain
    layers: Layers
    params: tuple[str, ...]
    needs: bool
    inner: bool


class Passes:
    """Passes of one network.

    Args:
        graph: the classifier.
        trained: keys "<node>.<param>" that are differentiated by.
        jit: compile kernels with XLA.
        half: convolutions and dense layers take products of bfloat16; all else, and the sums, stay as they are.
    """

    def __init__(self, graph: Graph, trained: Collection[str], *, jit: bool = False, half: bool = False) -> None:
        self.graph, self.jit = graph, jit
        self._steps: list[_Step] = []
        needing: set[str] = set()
        for chain in make_chains(graph):
            mine = {param for node in chain.nodes for param, _ in node.params if f"{node.name}.{param}" in trained}
            params = tuple(name for name in PARAMETER_SETS["all"] if name in mine)
            inner = any(name in needing for name in chain.inputs)
            if params or inner:
                needing.add(chain.output)
            layers = tuple(convolution.halved(layer) if half else layer for layer in chain.layers)
            self._steps.append(_Step(chain, layers, params, bool(params or inner), inner))
        self._live = live_nodes(graph)
        self._trained = frozenset(trained)
        self._drops = [step.chain.output for step in self._steps if step.chain.layers[0].op == "dropout"]

    def dropouts(self, rate: float | None = None) -> list[tuple[tuple[int, ...], float]]:
        """Shape of an example and rate of each dropout layer, in order; their own rates by default."""
        nodes = [self.graph.by_name[name] for name in self._drops]
        return [(node.shape, node["rate"] if rate is None else rate) for node in nodes]

    def train(
        self,
        weights: Mapping[str, Tensor],
        images: Tensor,
        labels: Tensor,
        smoothing: float = 0.0,
        masks: Sequence[Tensor] = (),
    ) -> Outcome:
        """Loss, gradients and batch statistics of a batch.

        Args:
            weights: all parameters by "<node>.<param>".
            images: [B, H, W, C].
            labels: [B] int32.
            smoothing: share of the targets that is spread over all classes.
            masks: what each dropout layer multiplies by; none: they do nothing.
        """
        masks = dict(zip(self._drops, masks, strict=bool(masks)))
        values: dict[str, Tensor | None] = {self.graph.nodes[0].name: images}
        runs: dict[str, ChainRun] = {}
        statistics: dict[str, Tensor] = {}
        uses = _Uses(self.graph)
        zeros = functools.partial(self._zeros, images)
        for step in self._steps:
            chain = step.chain
            inputs = [values[name] for name in chain.inputs]
            uses.read(chain, values)
            if chain.is_alias:
                value = walk.alias_output(chain, inputs)
                mask = masks.get(chain.output)
                values[chain.output] = value if mask is None or value is None else value * mask
                continue
            given = tuple(zeros(name) if x is None else x for name, x in zip(chain.inputs, inputs, strict=True))
            params = _params(chain, weights, moving=False)
            variant = ForwardVariant("batch", self.jit, "all" if step.needs else "statistics")
            result = kernels.call(first_order.forward, step.layers, variant, given, params)
            values[chain.output] = result.output
            if step.needs:
                runs[chain.output] = ChainRun(given, params, result.saved)
            for node, found in zip(chain.nodes, result.saved.statistics, strict=True):
                if found is not None:
                    statistics[f"{node.name}.moving_mean"], statistics[f"{node.name}.moving_variance"] = found
        logits = values[self.graph.output]
        logits = zeros(self.graph.output) if logits is None else logits
        loss, correct, cotangent = criterion(smoothing)(logits, labels)
        return Outcome(loss, correct, self._pull(runs, cotangent, masks), statistics)

    def _pull(self, runs: Mapping[str, ChainRun], cotangent: Tensor, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gradients of the trained parameters from the cotangent of the logits."""
        found: dict[str, Tensor] = {}
        pending: dict[str, list[Tensor | None]] = {self.graph.output: [cotangent]}
        for step in reversed(self._steps):
            chain = step.chain
            dy = walk.total(pending.pop(chain.output, ()))
            if dy is None or not step.needs:
                continue
            if chain.is_alias:
                pulled = walk.alias_cotangents(chain, dy * masks[chain.output] if chain.output in masks else dy)
            else:
                variant = BackwardVariant("batch", self.jit, step.params, input_gradient=step.inner)
                result = kernels.call(first_order.backward, step.layers, variant, runs[chain.output], dy)
                for node, gradients in zip(chain.nodes if result.params else (), result.params, strict=True):
                    for param, value in zip(Params._fields, gradients or (), strict=bool(gradients)):
                        if value is not None and f"{node.name}.{param}" in self._trained:
                            found[f"{node.name}.{param}"] = value
                pulled = result.inputs
            for name, part in zip(chain.inputs, pulled, strict=bool(pulled)):
                pending.setdefault(name, []).append(part)
        return found

    def infer(self, weights: Mapping[str, Tensor], images: Tensor) -> Tensor:
        """Logits [B, classes] with moving statistics."""
        values: dict[str, Tensor | None] = {self.graph.nodes[0].name: images}
        uses = _Uses(self.graph)
        zeros = functools.partial(self._zeros, images)
        variant = ForwardVariant("inference", self.jit, "nothing")
        for step in self._steps:
            chain = step.chain
            inputs = [values.get(name) for name in chain.inputs]
            uses.read(chain, values)
            if chain.output not in self._live:
                continue
            if chain.is_alias:
                values[chain.output] = walk.alias_output(chain, inputs)
            else:
                given = tuple(zeros(name) if x is None else x for name, x in zip(chain.inputs, inputs, strict=True))
                params = _params(chain, weights, moving=True)
                values[chain.output] = kernels.call(first_order.forward, step.layers, variant, given, params).output
        logits = values[self.graph.output]
        return zeros(self.graph.output) if logits is None else logits

    def _zeros(self, images: Tensor, name: str) -> Tensor:
        return tf.zeros((images.shape[0], *self.graph.by_name[name].shape), images.dtype)


class _Uses:
    """Drops values that no later chain reads."""

    def __init__(self, graph: Graph) -> None:
        self._left = {name: len(readers) for name, readers in graph.consumers.items()}
        self._left[graph.output] += 1

    def read(self, chain: Chain, values: dict[str, Tensor | None]) -> None:
        """A chain has read its inputs."""
        for name in chain.inputs:
            self._left[name] -= 1
            if not self._left[name]:
                values.pop(name, None)


def layer_params(node: Node, weights: Mapping[str, Tensor], *, moving: bool = False) -> Params:
    """Parameters of a layer, with or without moving statistics."""
    names = [param for param, _ in node.params if moving or not param.startswith("moving_")]
    return Params(**{param: weights[f"{node.name}.{param}"] for param in names})


def _params(chain: Chain, weights: Mapping[str, Tensor], *, moving: bool) -> tuple[Params | None, ...]:
    """Parameters of the layers of a chain; a norm has its place even without any."""
    return tuple(
        layer_params(node, weights, moving=moving) if node.params or node.op == "batch_norm" else None
        for node in chain.nodes
    )


@functools.cache
def criterion(smoothing: float) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """(logits [B, C], labels [B]) -> mean cross-entropy, number of right answers, gradient by the logits [B, C]."""

    def of(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        classes = logits.shape[-1]
        targets = tf.one_hot(labels, classes, dtype=logits.dtype) * (1 - smoothing) + smoothing / classes
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
        return loss, count_correct(logits, labels), tape.gradient(loss, logits)

    return tf.function(of, autograph=False)


def count_correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Number of examples whose largest logit is that of their label."""
    predicted = tf.argmax(logits, axis=-1, output_type=labels.dtype)
    return tf.reduce_sum(tf.cast(predicted == labels, tf.int32))
