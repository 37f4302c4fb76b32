"""Random flips and crops against every window of the padded image; squares cut out; dropout."""

import numpy as np
import pytest
import tensorflow as tf

from tfnas.training.augment import cut_out, dropped, flip_and_crop


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


def test_cut_out_squares_are_whole_but_at_the_border_and_their_middles_uniform():
    images = np.ones((64, 6, 5, 2), np.float32)
    middles = set()
    for draw in range(8):
        for image in cut_out(tf.constant(images), tf.constant([draw, 3]), 3).numpy():
            assert (image[..., 0] == image[..., 1]).all()
            rows, columns = np.nonzero(image[..., 0] == 0)
            found = [
                (row, column)
                for row in range(6)
                for column in range(5)
                if {(r, c) for r in range(row - 1, row + 2) for c in range(column - 1, column + 2)}
                & set(np.ndindex(6, 5))
                == set(zip(rows, columns, strict=True))
            ]
            middles.update(found)
            assert len(found) == 1
    assert len(middles) == 30, "512 squares over 30 places miss one with probability 1e-6"


def test_an_even_square_lies_half_a_pixel_up_and_left():
    (image,) = cut_out(tf.ones((1, 9, 9, 1)), tf.constant([1, 2]), 4).numpy()
    assert 4 <= (image == 0).sum() <= 16


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_dropped_values_are_a_share_and_the_others_make_up_for_them(rate):
    draw = tf.constant([3, 4])
    mask = dropped((100, 100), rate, draw, 0, "float64").numpy()
    assert np.mean(mask == 0) == pytest.approx(rate, abs=0.02)
    np.testing.assert_allclose(mask[mask > 0], 1 / (1 - rate))
    np.testing.assert_array_equal(mask, dropped((100, 100), rate, draw, 0, "float64"))
    if rate:
        assert not np.array_equal(mask, dropped((100, 100), rate, draw, 1, "float64"))
        assert not np.array_equal(mask, dropped((100, 100), rate, draw + 1, 0, "float64"))
