"""Random flips and crops against every window of the padded image."""

import numpy as np
import tensorflow as tf

from tfnas.training.augment import flip_and_crop


def test_crops_are_windows_of_the_padded_image_and_flips_mirror_it():
    images = np.random.default_rng(0).standard_normal((16, 6, 6, 2), np.float32)
    black = np.array([-1.5, 2.0], np.float32)
    shifts, mirrored = set(), []
    for draw in range(8):
        changed = flip_and_crop(tf.constant(images), tf.constant([draw, 5]), flip=True, crop=2, black=black)
        for image, seen in zip(images, changed.numpy(), strict=True):
            matches = []
            for flip in (False, True):
                padded = np.broadcast_to(black, (10, 10, 2)).copy()
                padded[2:8, 2:8] = image[:, ::-1] if flip else image
                matches += [
                    (flip, row, column)
                    for row in range(5)
                    for column in range(5)
                    if np.allclose(padded[row : row + 6, column : column + 6], seen, atol=1e-6)
                ]
            ((flip, row, column),) = matches
            shifts.add((row, column))
            mirrored.append(flip)
    assert len(shifts) == 25, "128 crops out of 25 places miss one with probability 0.13"
    assert 0.3 < np.mean(mirrored) < 0.7
