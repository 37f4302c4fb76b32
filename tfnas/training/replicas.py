"""Loss and gradients of a batch that the devices of a strategy share; each takes an equal part of the examples.

Weights come to the devices with every step, and what each finds is averaged, so that optimiser, augmentation, dropout
and checkpoints are those of one device. One function is traced for each network, layer by layer: replicas meet inside
BN layers, which kernels of several layers leave no room for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfnas.engine import convolution, normalization, simple, walk
from tfnas.engine.plan import ALIASES, make_chains
from tfnas.engine.signature import Statistics
from tfnas.errors import InputError
from tfnas.networks.graph import Graph
from tfnas.training.passes import Outcome, count_correct, layer_params

Tensor = Any


class Replicas:
    """Training passes of one network on several devices; `train` is that of `tfnas.training.passes.Passes`.

    Args:
        graph: the classifier.
        trained: keys "<node>.<param>" that are differentiated by.
        strategy: of `tf.distribute`.
        synchronized: whether BN layers normalise by the statistics of the whole batch, as on one device; otherwise
            each device by those of its part, and the moving statistics are those of the first device.
        half: as in `Passes`.
    """

    def __init__(
        self,
        graph: Graph,
        trained: Collection[str],
        strategy: tf.distribute.Strategy,
        *,
        synchronized: bool = True,
        half: bool = False,
    ) -> None:
        self.graph, self.strategy, self.synchronized = graph, strategy, synchronized
        self._trained = tuple(sorted(trained))
        self._layers = [
            (chain.nodes[0], convolution.halved(chain.layers[0]) if half else chain.layers[0], chain)
            for chain in make_chains(graph, False)
        ]
        self._drops = [node.name for node, _, _ in self._layers if node.op == "dropout"]
        self._step = tf.function(self._distributed, autograph=False)

    def train(
        self,
        weights: Mapping[str, Tensor],
        images: Tensor,
        labels: Tensor,
        smoothing: float = 0.0,
        masks: Sequence[Tensor] = (),
    ) -> Outcome:
        """As `Passes.train`; the batch has to be a multiple of the devices."""
        check_share(len(labels), self.strategy)
        found = self._step(dict(weights), images, labels, tf.constant(smoothing, images.dtype), list(masks))
        return Outcome(*found)

    def _distributed(
        self, weights: dict[str, Tensor], images: Tensor, labels: Tensor, smoothing: Tensor, masks: list[Tensor]
    ) -> tuple[Tensor, Tensor, dict[str, Tensor], dict[str, Tensor]]:
        count = self.strategy.num_replicas_in_sync
        parts = [tf.split(value, count) for value in (images, labels, *masks)]

        def on_replica() -> tuple[Tensor, Tensor, list[Tensor], dict[str, Tensor]]:
            context = tf.distribute.get_replica_context()
            # Each replica is traced on its own, so that its number is a constant.
            index = int(tf.get_static_value(context.replica_id_in_sync_group))
            own = [split[index] for split in parts]
            return self._on_replica(context, weights, own[0], own[1], smoothing, own[2:])

        loss, correct, gradients, statistics = self.strategy.run(on_replica)
        first = lambda value: self.strategy.experimental_local_results(value)[0]  # noqa: E731
        return (
            first(loss),
            first(correct),
            dict(zip(self._trained, map(first, gradients), strict=True)),
            {key: first(value) for key, value in statistics.items()},
        )

    def _on_replica(
        self,
        context: tf.distribute.ReplicaContext,
        weights: Mapping[str, Tensor],
        images: Tensor,
        labels: Tensor,
        smoothing: Tensor,
        masks: Sequence[Tensor],
    ) -> tuple[Tensor, Tensor, list[Tensor], dict[str, Tensor]]:
        sources = [weights[key] for key in self._trained]
        statistics: dict[str, Tensor] = {}
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            logits = self._forward(
                context, weights, images, dict(zip(self._drops, masks, strict=bool(masks))), statistics
            )
            classes = logits.shape[-1]
            targets = tf.one_hot(labels, classes, dtype=logits.dtype) * (1 - smoothing) + smoothing / classes
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
        gradients = tape.gradient(loss, sources, unconnected_gradients="zero")
        mean, total = tf.distribute.ReduceOp.MEAN, tf.distribute.ReduceOp.SUM
        loss, *gradients = context.all_reduce(mean, [loss, *gradients])
        return loss, context.all_reduce(total, count_correct(logits, labels)), gradients, statistics

    def _forward(
        self,
        context: tf.distribute.ReplicaContext,
        weights: Mapping[str, Tensor],
        images: Tensor,
        masks: Mapping[str, Tensor],
        statistics: dict[str, Tensor],
    ) -> Tensor:
        """Logits of one device's part; notes the statistics of BN layers."""

        def mean(value: Tensor) -> Tensor:
            value = tf.reduce_mean(value, list(range(len(value.shape) - 1)))
            return context.all_reduce(tf.distribute.ReduceOp.MEAN, value) if self.synchronized else value

        values: dict[str, Tensor] = {self.graph.nodes[0].name: images}
        for node, layer, chain in self._layers:
            inputs = [values[name] for name in node.inputs]
            params = layer_params(node, weights)
            if layer.has_kernel:
                y = convolution.linear(layer, inputs[0], params.kernel)
                y = y if params.bias is None else y + params.bias
            elif node.op == "batch_norm":
                centre = mean(inputs[0])
                found = Statistics(centre, mean(tf.square(inputs[0] - centre)))
                statistics[f"{node.name}.moving_mean"], statistics[f"{node.name}.moving_variance"] = found
                y = normalization.forward(layer, params, inputs[0], found)
            elif node.op in ALIASES:
                y = walk.alias_output(chain, inputs)
                y = tf.zeros((images.shape[0], *node.shape), images.dtype) if y is None else y
                y = y * masks[node.name] if node.name in masks else y
            else:
                y = simple.apply(layer, inputs)
            values[node.name] = y
        return values[self.graph.output]


def check_share(batch_size: int, strategy: tf.distribute.Strategy | None) -> None:
    """Raises InputError if the devices of a strategy cannot share a batch equally."""
    if strategy is not None and batch_size % strategy.num_replicas_in_sync:
        raise InputError(
            f"The devices share a batch equally. Received: batch_size={batch_size} on "
            f"{strategy.num_replicas_in_sync} devices"
        )
