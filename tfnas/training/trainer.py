"""Trains one network by a recipe.

Whatever is traced is traced once a process and not once a network (see `passes`), so that the next network starts at
once. All shapes are static: the last examples that fill no batch are dropped, as XLA devices need.

The order of examples, augmentation and dropout depend on the seed, the epoch and the step alone. So a training that
goes on from a checkpoint ends with the same weights, bit for bit, as one that was not interrupted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfnas import seeds
from tfnas.errors import InputError, unknown
from tfnas.networks.graph import Graph
from tfnas.training import augment, feeding, layout, optimizers, stopping
from tfnas.training.checkpoints import Checkpoint
from tfnas.training.epochs import Epoch
from tfnas.training.recipes import Recipe, check_dropout, check_size

if TYPE_CHECKING:
    import tensorflow as tf

    from tfnas.training.step import Step

Arrays = tuple[np.ndarray, np.ndarray]

EVAL_BATCH = 256
# Type of weights and of all arithmetic; bfloat16 is that of products alone.
PRECISIONS = {"float32": "float32", "float64": "float64", "bfloat16": "float32"}


@dataclasses.dataclass(frozen=True)
class _Now:
    """How far a training is: one object, so that a signal never meets half a step.

    Attributes:
        state: weights and all else that steps change.
        done: steps of the whole training.
        loss, correct: sums over the steps of the epoch under way.
    """

    state: optimizers.State
    done: int
    loss: tf.Tensor
    correct: tf.Tensor


class Trainer:
    """Trains one network from weights that :meth:`start` gives it.

    Its steps are one traced function, made of calls of kernels that the process keeps: quick to trace, and let go with
    the trainer. With XLA or a strategy they are not, as these trace or compile on their own.

    Args:
        graph: classifier with logits [N, classes].
        recipe: how.
        trained: names of the layers that are trained, all by default (see `layout.last_cells`). Others keep their
            weights bit for bit and do not decay; their BN layers normalise by the batch and move their statistics.
        black: per channel, what crops are padded with: the value of a black pixel in the units of the images
            (`data.Source.black`). None is 0.
        precision: one of `PRECISIONS`.
        jit: compile with XLA.
        strategy: of `tf.distribute`, whose devices share each batch (see `replicas`); None: one device.
        synchronized: of a strategy, whether its devices share the statistics of BN.

    Raises:
        InputError: an unknown precision, nothing to train, a batch that the devices cannot share, XLA with a strategy,
            dropout of a network without dropout layers.
    """

    def __init__(
        self,
        graph: Graph,
        recipe: Recipe,
        *,
        trained: Collection[str] | None = None,
        black: Sequence[float] | None = None,
        precision: str = "float32",
        jit: bool = False,
        strategy: tf.distribute.Strategy | None = None,
        synchronized: bool = True,
    ) -> None:
        import tensorflow as tf

        from tfnas.training import passes, replicas, step

        if precision not in PRECISIONS:
            raise unknown("precision", precision, PRECISIONS)
        if jit and strategy is not None:
            raise InputError("XLA compiles for one device. Received: jit with a strategy. Allowed: one of both")
        replicas.check_share(recipe.batch_size, strategy)
        check_dropout(graph, recipe)
        self.graph, self.recipe, self.dtype = graph, recipe, PRECISIONS[precision]
        self.layout = layout.make(graph, trained)
        self.history: list[Epoch] = []
        self.notes: dict[str, Any] = {}
        half = precision == "bfloat16"
        keys = self.layout.trained.keys
        self._passes = passes.Passes(graph, keys, jit=jit, half=half)
        train, counted = self._passes.train, recipe.batch_size
        if strategy is not None:
            counted //= 1 if synchronized else strategy.num_replicas_in_sync
            train = replicas.Replicas(graph, keys, strategy, synchronized=synchronized, half=half).train
        dropouts = self._passes.dropouts(recipe.dropout)
        made = step.make(self.layout, recipe, self.dtype, train, dropouts, counted)
        self._step = made if jit or strategy is not None else tf.function(made, autograph=False)
        self._batch = augment.batcher(
            graph.input_shape,
            recipe.batch_size,
            self.dtype,
            flip=recipe.flip,
            crop=recipe.crop,
            cutout=recipe.cutout,
            black=None if black is None else tuple(black),
        )
        self._now: _Now | None = None
        self._fixed: dict[str, tf.Tensor] = {}
        self._seconds = 0.0  # that the epoch under way took before the checkpoint it goes on from
        self._traced = False

    # State -----------------------------------------------------------------------------------------------------------

    def start(self, weights: Mapping[str, np.ndarray]) -> None:
        """Takes weights by "<node>.<param>", with the optimiser at rest and no epoch done."""
        import tensorflow as tf

        trained, moving = (
            tf.constant(pieces.join(weights, self.dtype)) for pieces in (self.layout.trained, self.layout.moving)
        )
        self._now = _Now(optimizers.start(self.recipe, trained, moving), 0, *self._zeros())
        self._fixed = {key: tf.constant(weights[key], self.dtype) for key in self.layout.fixed}
        self._seconds, self.history, self.notes = 0.0, [], {}

    def _zeros(self) -> tuple[tf.Tensor, tf.Tensor]:
        import tensorflow as tf

        return tf.constant(0, self.dtype), tf.constant(0, tf.int32)

    def weights(self, *, averaged: bool | None = None) -> dict[str, np.ndarray]:
        """The present weights by "<node>.<param>", as `proxies.evaluate` takes them; those that are measured.

        Args:
            averaged: whether they are the moving averages; by default where the recipe has any.
        """
        trained, moving = (
            self._measured() if averaged is not False else (self._now.state.weights, self._now.state.moving)
        )
        found = self.layout.trained.cut(trained.numpy()) | self.layout.moving.cut(moving.numpy())
        found |= {key: value.numpy() for key, value in self._fixed.items()}
        return {key: found[key] for node in self.graph.nodes for key in node.param_keys()}

    def _measured(self) -> tuple[tf.Tensor, tf.Tensor]:
        state = self._now.state
        if not self.recipe.ema:
            return state.weights, state.moving
        size = len(state.weights)
        return state.average[:size], state.average[size:]

    def save(self, checkpoint: Checkpoint) -> None:
        """Keeps the whole state: weights, optimiser, averages, position in the data, epochs so far, notes."""
        now = self._now
        arrays = {name: value.numpy() for name, value in now.state._asdict().items()}
        arrays |= {f"fixed/{key}": value.numpy() for key, value in self._fixed.items()}
        facts = {
            "done": now.done,
            "loss": float(now.loss),
            "correct": int(now.correct),
            "seconds": self._seconds,
            "history": [dataclasses.asdict(epoch) for epoch in self.history],
            "notes": self.notes,
        }
        checkpoint.save(arrays, facts)

    def resume(self, checkpoint: Checkpoint) -> bool:
        """Goes on from a state that was kept, and tells whether there is one; one that is damaged is named."""
        import tensorflow as tf

        try:
            found = checkpoint.load()
        except ValueError as error:
            print(f"{error}; the training begins anew", file=sys.stderr, flush=True)
            return False
        if found is None:
            return False
        arrays, facts = found
        tensors = {key: tf.constant(value) for key, value in arrays.items()}
        self._fixed = {key: tensors.pop(f"fixed/{key}") for key in self.layout.fixed}
        sums = tf.constant(facts["loss"], self.dtype), tf.constant(facts["correct"], tf.int32)
        self._now = _Now(optimizers.State(**tensors), facts["done"], *sums)
        self._seconds, self.notes = facts["seconds"], facts["notes"]
        self.history = [Epoch(**epoch) for epoch in facts["history"]]
        return True

    # Training --------------------------------------------------------------------------------------------------------

    def run(
        self,
        train: Arrays,
        test: Arrays | None = None,
        *,
        seed: int = 0,
        stop: Sequence[stopping.Rule] = (),
        checkpoint: Checkpoint | None = None,
    ) -> Iterator[Epoch]:
        """Trains on from the present state and yields after each epoch; a loss that is not finite ends it.

        Stop asking for epochs to stop early; between two, look at :meth:`weights` as you like. `notes` is kept with
        the state: what JSON can hold of what was found so far.

        Args:
            train: images [N, H, W, C] and labels [N] int32; images that memory does not hold stay in their files, as
                `tfnas.data.lazy.Images`, and change nothing but the time that steps wait for them.
            test: the same, for the accuracy after each epoch.
            seed: any integer.
            stop: rules that end the training before its last epoch.
            checkpoint: where the state is kept as it goes.

        Raises:
            InputError: fewer training images than one batch, or images or labels that are not for this network.
        """
        import tensorflow as tf

        size, recipe = len(train[1]), self.recipe
        check_size(size, recipe)
        for data in (train, test):
            self._check(data)
        steps = size // recipe.batch_size
        feed = feeding.make(*train, self.dtype)
        while len(self.history) < recipe.epochs and not (self.history and self.history[-1].stopped):
            if not self._traced:
                # A step that changes nothing: to trace and compile is no training, and takes what is new of a network.
                first, draw = next(feed.batches(np.arange(recipe.batch_size)[None])), tf.zeros(2, tf.int32)
                self._find(*self._batch(*first, draw), 0.0, draw).loss.numpy()
                self._traced = True
            index = len(self.history)
            before, begun = self._seconds, time.perf_counter()
            rng = np.random.default_rng(seeds.derive_seed(seed, "epoch", index))
            order = rng.permutation(size)[: steps * recipe.batch_size].reshape(steps, -1)
            draws = rng.integers(2**31 - 1, size=(steps, 2))
            rates, seconds = recipe.rates(index, steps), math.nan
            passed = self._now.done - index * steps
            try:
                with contextlib.closing(feed.batches(order[passed:])) as batches:
                    for place, batch in enumerate(batches, passed):
                        if checkpoint is not None and checkpoint.is_due:
                            self._seconds = before + time.perf_counter() - begun
                            self.save(checkpoint)
                        draw = tf.constant(draws[place], tf.int32)
                        self.step(*self._batch(*batch, draw), float(rates[place]), draw)
                mean = float(self._now.loss) / steps
                accuracy = int(self._now.correct) / (steps * recipe.batch_size)
                seconds = before + time.perf_counter() - begun
                tested = self.evaluate(test) if test else math.nan
            except BaseException as error:
                self._seconds = before + time.perf_counter() - begun if math.isnan(seconds) else seconds
                if checkpoint is not None and not isinstance(error, Exception):  # a signal
                    self.save(checkpoint)
                raise
            epoch = Epoch(index + 1, mean, accuracy, tested, seconds)
            reason = stopping.reason(stop, [*self.history, epoch]) if math.isfinite(mean) else "the training diverged"
            self.history.append(dataclasses.replace(epoch, stopped=reason))
            self._now, self._seconds = (
                dataclasses.replace(self._now, **dict(zip(("loss", "correct"), self._zeros(), strict=True))),
                0.0,
            )
            yield self.history[-1]

    def step(self, images: Any, labels: Any, rate: float, draw: Any = None) -> Step:
        """One step on a batch as it is.

        Args:
            images: [B, H, W, C].
            labels: [B] int32.
            rate: learning rate.
            draw: [2] int32, the seed of dropout; without it nothing is dropped.
        """
        now, found = self._now, self._find(images, labels, rate, draw)
        self._now = _Now(found.state, now.done + 1, now.loss + found.loss, now.correct + found.correct)
        return found

    def _find(self, images: Any, labels: Any, rate: float, draw: Any) -> Step:
        """What a step gives; the state stays."""
        import tensorflow as tf

        images = tf.convert_to_tensor(images, self.dtype)
        numbers = (tf.constant(value, self.dtype) for value in (rate, self._now.done))
        labels = tf.convert_to_tensor(labels, tf.int32)
        return self._step(self._now.state, self._fixed, images, labels, *numbers, draw)

    def evaluate(self, data: Arrays) -> float:
        """Accuracy (a fraction) on images and labels, with moving statistics; NaN where a logit is not finite."""
        images, labels = data
        self._check(data)
        logits = self.predict(images)
        return int(np.sum(logits.argmax(1) == labels)) / len(labels) if np.isfinite(logits).all() else math.nan

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Logits [N, classes] with moving statistics, those of the moving average where the recipe has one."""
        import tensorflow as tf

        trained, moving = self._measured()
        weights = self.layout.trained.cut_tensor(trained) | self.layout.moving.cut_tensor(moving) | self._fixed
        # Of one shape, so that the last ones need no kernels of their own; but not where BN looks at the whole batch.
        pads = all(node.op != "batch_norm" or node["moving"] for node in self.graph.nodes)
        parts = []
        for start in range(0, len(images), EVAL_BATCH):
            block = images[start : start + EVAL_BATCH]
            missing = EVAL_BATCH - len(block) if pads else 0
            padded = np.pad(block, ((0, missing), *[(0, 0)] * (block.ndim - 1))) if missing else block
            parts.append(self._passes.infer(weights, tf.constant(padded, self.dtype)).numpy()[: len(block)])
        return np.concatenate(parts)

    def _check(self, data: Arrays | None) -> None:
        """Refuses data that the network is not for."""
        if data is None:
            return
        images, labels = data
        if tuple(images.shape[1:]) != self.graph.input_shape:
            allowed = ", ".join(map(str, self.graph.input_shape))
            raise InputError(f"Images do not fit the network. Received: {tuple(images.shape)}. Allowed: (N, {allowed})")
        if not len(labels):
            return
        least, most = int(np.min(labels)), int(np.max(labels))
        if least < 0 or most >= self.graph.num_classes:
            raise InputError(
                f"The network has no logit for a label. Received: label {least if least < 0 else most}. "
                f"Allowed: labels from 0 on below {self.graph.num_classes}"
            )
