"""Photographs of any size as network input: decoded, scaled, cut, inside tf.data."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def scaled(size: int) -> int:
    """Pixels of the shortest side of a photograph of which the centre of `size` pixels is taken: 256 for 224."""
    return round(size * 256 / 224)


def centre(encoded: tf.Tensor, size: int) -> tf.Tensor:
    """The validation processing of the NNGP paper (Park et al. 2020, C.2) before standardisation.

    The photograph is scaled so that its shortest side has `scaled(size)` pixels, and the centre of `size` x `size` is
    cut out. The paper does not name the filter: it is bilinear, with antialiasing where the photograph shrinks. Both
    sides are whole numbers of pixels, the longer one and the offsets rounded down.

    Args:
        encoded: a JPEG or PNG file, a scalar string.
        size: height and width wanted.

    Returns:
        pixels [size, size, 3] float32 in 0..255.
    """
    import tensorflow as tf

    # The faster transform, which some builds take by default, gives other pixels.
    pixels = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
    sides = tf.shape(pixels)[:2]
    new = scaled(size) * sides // tf.reduce_min(sides)
    # Scaling and cutting at once: only the pixels that are kept are computed.
    cut = tf.raw_ops.ScaleAndTranslate(
        images=pixels[tf.newaxis],
        size=[size, size],
        scale=tf.cast(new, tf.float32) / tf.cast(sides, tf.float32),
        translation=tf.cast(-((new - size) // 2), tf.float32),
        kernel_type="triangle",
        antialias=True,
    )
    return tf.ensure_shape(cut[0], [size, size, 3])
