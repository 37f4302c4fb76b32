"""Batches of a training: of images that memory holds, or of images that stay in their files."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from concurrent import futures
from typing import TYPE_CHECKING

import numpy as np

from tfnas.data.lazy import Images

if TYPE_CHECKING:
    import tensorflow as tf


class Feed(abc.ABC):
    """Images and labels as `augment.batcher` takes them.

    Args:
        images: [N, H, W, C].
        labels: [N].
        dtype: of the images in a batch.
    """

    def __init__(self, images: np.ndarray | tf.Tensor | Images, labels: np.ndarray, dtype: str) -> None:
        self.images, self.labels, self.dtype = images, labels, dtype

    @abc.abstractmethod
    def batches(self, order: np.ndarray) -> Iterator[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
        """For each row of `order` [steps, B] images, labels, and the places in these that make its batch [B]."""


class Held(Feed):
    """Of images in memory: all of them are on the device, and a batch is gathered there."""

    def __init__(self, images: np.ndarray | tf.Tensor, labels: np.ndarray, dtype: str) -> None:
        import tensorflow as tf

        super().__init__(tf.convert_to_tensor(images, dtype), tf.convert_to_tensor(labels, tf.int32), dtype)

    def batches(self, order: np.ndarray) -> Iterator[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
        import tensorflow as tf

        for places in order:
            yield self.images, self.labels, tf.constant(places, tf.int32)


class Left(Feed):
    """Of images in their files: a batch is read, decoded and normalised while the ones before it are trained on."""

    def batches(self, order: np.ndarray) -> Iterator[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
        import tensorflow as tf

        size = order.shape[1]
        for images, places in zip(_ahead(self.images.batches(order.ravel(), size)), order, strict=True):
            labels = tf.constant(self.labels[places], tf.int32)
            yield tf.convert_to_tensor(images, self.dtype), labels, tf.range(size)


def make(images: np.ndarray | tf.Tensor | Images, labels: np.ndarray, dtype: str) -> Feed:
    """The one for these images."""
    return (Left if isinstance(images, Images) else Held)(images, labels, dtype)


def _ahead(values: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The same, of which a thread has the next one ready."""
    with futures.ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, values, None)
        while (value := coming.result()) is not None:
            coming = thread.submit(next, values, None)
            yield value
