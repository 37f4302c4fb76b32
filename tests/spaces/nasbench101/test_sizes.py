"""Sizes by sums over vertices against the layers of each network, and against parameters counted by hand."""

import numpy as np
import pandas as pd
import pytest

from spaces.base import Space
from spaces.nasbench101 import published
from tests import nasbench101_plain
from tests.conftest import needed
from tests.spaces.nasbench101.cases import INCEPTION, LOOSE, SPACE, draw, draw_uniform
from tfnas.errors import InputError

SETTINGS = [
    {},
    {"width": 8, "depth": 1, "stages": 1, "classes": 2, "input_shape": (5, 7, 1)},
    {"width": 17, "depth": 2, "stages": 4, "classes": 100, "input_shape": (16, 16, 3)},
    {"width": 4, "depth": 2, "stages": 2, "classes": 7, "input_shape": (9, 9, 1)},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_sizes_are_those_of_the_layers(settings):
    config = SPACE.config(**settings)
    few = ["output~0", "conv3x3~0|maxpool3x3~01|output~012", "maxpool3x3~0|output~1"]
    cells = [INCEPTION, LOOSE, *map(SPACE.parse, few), *draw(8), *draw_uniform(8)]
    found = SPACE.sizes(cells, **settings)
    assert found.index.tolist() == [str(cell) for cell in cells]
    for row, cell in zip(found.itertuples(index=False), cells, strict=True):
        assert tuple(row) == Space._sizes(SPACE, cell, config), cell
        assert row.params == nasbench101_plain.parameters(
            cell, config.width, config.depth, config.stages, config.classes, config.input_shape[-1]
        )


def test_too_narrow_a_network_is_refused():
    with pytest.raises(InputError, match=r"4 vertices of the cell share its output\. Received: 3 channels"):
        SPACE.sizes(["conv3x3~0|conv3x3~0|conv3x3~0|conv3x3~0|output~1234"], width=3)


def test_golden_parameters_are_those_of_the_benchmark(shared):
    path = needed(shared / "data" / "tables" / "nb101_all_test108.parquet")
    frame = pd.read_parquet(path).sample(3000, random_state=0)
    assert np.array_equal(SPACE.sizes(published.archs(frame))["params"], frame["params"])
