"""Seeds of any size and sign."""

import numpy as np
import pytest

from tfnas import seeds


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1, 2**100])
def test_a_generator_is_that_of_numpy(seed):
    assert seeds.generator(seed).random(3).tolist() == np.random.default_rng(seed).random(3).tolist()


def test_negative_seeds_have_generators_of_their_own():
    drawn = [seeds.generator(seed).random() for seed in (-(2**63), -2, -1, -1, 0, 1, 2)]
    assert drawn[2] == drawn[3]
    assert len(set(drawn)) == 6
