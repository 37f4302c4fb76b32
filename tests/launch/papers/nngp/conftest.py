import numpy as np
import pytest

from tests.launch.papers.nngp import cases


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture
def table(rng):
    return cases.table_of(rng)
