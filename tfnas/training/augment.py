"""Random changes of a batch, inside a traced function. Importing this does not import TensorFlow."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def flip_and_crop(
    images: tf.Tensor, draw: tf.Tensor, *, flip: bool, crop: int, black: Sequence[float] | None = None
) -> tf.Tensor:
    """Mirrors each image with probability 1/2, then cuts the original size out of the padded image at a random place.

    Args:
        images: [B, H, W, C], a static shape.
        draw: [2] int32, the seed of the draws.
        flip: whether to mirror.
        crop: padding on each side in pixels; 0 is no crop.
        black: per channel, what is padded with; None is 0.

    Returns:
        [B, H, W, C]. Every image has draws of its own, the same for the same seed.
    """
    import tensorflow as tf

    count, height, width, channels = images.shape
    if flip:
        mirrored = tf.random.stateless_uniform((count, 1, 1, 1), draw) < 0.5
        images = tf.where(mirrored, images[:, :, ::-1], images)
    if crop:
        padding = tf.zeros(channels, images.dtype) if black is None else tf.constant(black, images.dtype)
        frame = ((0, 0), (crop, crop), (crop, crop), (0, 0))
        # Only what lies around the image is black: pad the difference from it with zeros.
        padded = tf.pad(images - padding, frame) + padding
        corner = tf.random.stateless_uniform((2, count, 1), draw + 1, maxval=2 * crop + 1, dtype=tf.int32)
        rows = corner[0] + tf.range(height)
        columns = corner[1] + tf.range(width)
        images = tf.gather(padded, rows, axis=1, batch_dims=1)
        images = tf.gather(images, columns, axis=2, batch_dims=1)
    return images


def cut_out(images: tf.Tensor, draw: tf.Tensor, side: int) -> tf.Tensor:
    """Sets a square of each image to 0, the mean of normalised data (DeVries and Taylor 2017).

    The middle of a square is uniform over the pixels, so that the square may reach over the border: it covers rows
    y - side // 2 up to y - side // 2 + side, without the last.

    Args:
        images: [B, H, W, C], a static shape.
        draw: [2] int32, the seed of the draws.
        side: of the square in pixels.
    """
    import tensorflow as tf

    count, *sizes, _ = images.shape
    inside = []
    for axis, size in enumerate(sizes):
        middle = tf.random.stateless_uniform((count, 1), draw + 2 + axis, maxval=size, dtype=tf.int32)
        places = tf.range(size) - (middle - side // 2)
        inside.append((places >= 0) & (places < side))
    square = inside[0][:, :, None, None] & inside[1][:, None, :, None]
    return tf.where(square, tf.zeros_like(images), images)


@functools.lru_cache(maxsize=32)
def batcher(
    shape: tuple[int, ...],
    batch_size: int,
    dtype: str,
    *,
    flip: bool,
    crop: int,
    cutout: int,
    black: tuple[float, ...] | None,
) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """A batch of a data set, augmented: (images, labels, indices [B], draw [2]) -> images [B, ...], labels [B].

    One traced function for each kind of data and augmentation, whatever the network.
    """
    import tensorflow as tf

    def batch(images: tf.Tensor, labels: tf.Tensor, indices: tf.Tensor, draw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        chosen = tf.ensure_shape(tf.gather(images, indices), (batch_size, *shape))
        chosen = flip_and_crop(chosen, draw, flip=flip, crop=crop, black=black)
        return (cut_out(chosen, draw, cutout) if cutout else chosen), tf.gather(labels, indices)

    specs = [tf.TensorSpec((None, *shape), dtype), tf.TensorSpec((None,), tf.int32)]
    specs += [tf.TensorSpec((size,), tf.int32) for size in (batch_size, 2)]
    return tf.function(batch, input_signature=specs, autograph=False)


def dropped(shape: Sequence[int], rate: float, draw: tf.Tensor, place: int, dtype: str) -> tf.Tensor:
    """What a dropout layer multiplies a batch by: 0 with probability `rate`, else 1 / (1 - rate).

    Args:
        shape: [B, ...].
        rate: of the layer.
        draw: [2] int32, the seed of the step's draws.
        place: number of the layer among the network's dropout layers; each has draws of its own.
        dtype: of the result.
    """
    import tensorflow as tf

    kept = tf.random.stateless_uniform(shape, draw + 4 + place) >= rate
    return tf.cast(kept, dtype) / tf.constant(1 - rate, dtype)
