"""The size search space against what follows from its definition."""

import functools

import networkx
import numpy as np
import pytest

import spaces
from spaces.nasbench201 import size
from tfnas.errors import InputError

SPACE = spaces.get("nasbench201_size")


class TestWidths:
    def test_counting_order(self):
        assert [str(SPACE.at(i)) for i in (0, 1, 8, 32767)] == [
            "8:8:8:8:8",
            "8:8:8:8:16",
            "8:8:8:16:8",
            "64:64:64:64:64",
        ]

    def test_mutation_may_return_the_parent(self):
        rng = np.random.default_rng(0)
        parent = SPACE.parse("8:16:24:32:40")
        count = 8000
        children = [SPACE.mutate(parent, rng) for _ in range(count)]
        assert children.count(parent) / count == pytest.approx(1 / 8, abs=4 * np.sqrt(1 / 8 / count))
        for block in range(5):
            changed = sum(child.widths[block] != parent.widths[block] for child in children)
            assert changed / count == pytest.approx(7 / 40, abs=4 * np.sqrt(7 / 40 / count))

    def test_fixed_cell_is_the_published_string(self):
        cell = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
        assert spaces.get("nasbench201").parse(cell).ops == size.CELL

    def test_widths_of_the_blocks(self):
        graph = SPACE.layer_graph(SPACE.parse("8:16:24:32:40"))
        ends = ["stem.1", "cells.0.node3", "cells.1.sum", "cells.2.node3", "cells.3.sum", "cells.4.node3"]
        assert [graph.by_name[name].shape[-1] for name in ends] == [8, 8, 16, 24, 32, 40]
        # A skip that changes the width is a convolution and BN without ReLU; one that keeps it is the identity.
        assert graph.by_name["cells.0.layers.3"].op == "identity"
        assert graph.by_name["cells.2.layers.3.conv"].inputs == ("cells.1.sum",)
        assert graph.by_name["cells.2.layers.3.bn"].inputs == ("cells.2.layers.3.conv",)

    @pytest.mark.parametrize(("setting", "message"), [({"width": 16}, "fixed by"), ({"depth": 2}, "depth=2")])
    def test_nothing_else_is_free(self, setting, message):
        with pytest.raises(InputError, match=message):
            SPACE.layer_graph(SPACE.at(0), **setting)

    def test_encoding_and_graph_carry_the_widths(self):
        arch = SPACE.parse("8:16:24:32:64")
        code = SPACE.encode(arch).reshape(5, 8)
        assert tuple((code @ np.array(size.WIDTHS)).astype(int)) == arch.widths
        ops = networkx.get_node_attributes(SPACE.graph(arch), "op")
        assert list(ops.values()) == [
            "input",
            "cell_8",
            "reduction_16",
            "cell_24",
            "reduction_32",
            "cell_64",
            "output",
        ]

    def test_index_is_base_eight(self):
        arch = SPACE.parse("16:8:64:24:32")
        assert SPACE.index(arch) == functools.reduce(lambda n, width: 8 * n + width // 8 - 1, arch.widths, 0)
        assert SPACE.at(SPACE.index(arch)) == arch

    def test_index_out_of_range(self):
        for index in (-1, SPACE.size):
            with pytest.raises(InputError, match=rf"lies in \[0, {SPACE.size}\). Received: {index}"):
                SPACE.at(index)
