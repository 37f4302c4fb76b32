"""Random flips and crops of a batch, inside a traced function. Importing this does not import TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def flip_and_crop(
    images: tf.Tensor, draw: tf.Tensor, *, flip: bool, crop: int, black: Sequence[float] | None = None
) -> tf.Tensor:
    """Mirrors each image with probability 1/2, then cuts the original size out of the padded image at a random place.

    Args:
        images: [B, H, W, C] float32, a static shape.
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
        padding = tf.zeros(channels) if black is None else tf.constant(black, tf.float32)
        frame = ((0, 0), (crop, crop), (crop, crop), (0, 0))
        # Only what lies around the image is black: pad the difference from it with zeros.
        padded = tf.pad(images - padding, frame) + padding
        corner = tf.random.stateless_uniform((2, count, 1), draw + 1, maxval=2 * crop + 1, dtype=tf.int32)
        rows = corner[0] + tf.range(height)
        columns = corner[1] + tf.range(width)
        images = tf.gather(padded, rows, axis=1, batch_dims=1)
        images = tf.gather(images, columns, axis=2, batch_dims=1)
    return images
