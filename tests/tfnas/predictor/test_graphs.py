"""Graphs as arrays, and their normalised matrices against plain loops."""

import networkx
import numpy as np
import pytest

from tests.tfnas.predictor import cases
from tfnas.errors import InputError
from tfnas.predictor import graphs
from tfnas.predictor.graphs import Graphs


def _neighbours(edges, v):
    return [u for u in range(len(edges)) if edges[v, u] or u == v]


def test_row_is_the_mean_over_neighbours():
    found = cases.graphs(10)
    ahead, behind = graphs.normalised(found.edges, "row")
    for edges, a, b in zip(found.edges, ahead, behind, strict=True):
        for matrix, adjacency in ((a, edges), (b, edges.T)):
            for v in range(len(edges)):
                near = _neighbours(adjacency, v)
                assert matrix[v].tolist() == pytest.approx([(u in near) / len(near) for u in range(len(edges))])


def test_reference_goes_back_over_what_is_normalised_already():
    found = cases.graphs(10)
    ahead, behind = graphs.normalised(found.edges, "reference")
    assert np.array_equal(ahead, graphs.normalised(found.edges, "row")[0])
    for a, b in zip(ahead, behind, strict=True):
        for v in range(len(a)):
            assert b[v].tolist() == pytest.approx((a[:, v] / a[:, v].sum()).tolist())


def test_sym():
    found = cases.graphs(10)
    ahead, behind = graphs.normalised(found.edges, "sym")
    for edges, a, b in zip(found.edges, ahead, behind, strict=True):
        full = edges + np.eye(len(edges))
        for u, v in np.ndindex(*full.shape):
            assert a[u, v] == pytest.approx(full[u, v] / np.sqrt(full[u].sum() * full[:, v].sum()))
        assert np.array_equal(b, a.T)


def test_unknown_norm():
    with pytest.raises(InputError, match=r"Unknown normalisation\. Received: 'column'\. Allowed: reference, row, sym"):
        graphs.normalised(cases.graphs(1).edges, "column")


def test_chains():
    nodes = [np.full((count, 3), count, np.float32) for count in (2, 4, 1)]
    found = graphs.of_chains(nodes)
    assert found.counts.tolist() == [2, 4, 1]
    for row, chain in enumerate(nodes):
        count = len(chain)
        assert np.array_equal(found.nodes[row, :count], chain)
        assert not found.nodes[row, count:].any()
        assert [tuple(edge) for edge in np.argwhere(found.edges[row])] == [(i, i + 1) for i in range(count - 1)]
    same = graphs.equal_chains(np.stack([nodes[1]] * 2))
    assert np.array_equal(same.edges[0], found.edges[1])


def test_of_networkx_in_the_order_of_its_nodes():
    graph = networkx.DiGraph()
    for node, op in (("b", "out"), ("a", "in")):
        graph.add_node(node, op=op)
    graph.add_edge("a", "b")
    found = graphs.of_graphs([graph], ("in", "out"))
    assert found.nodes[0].tolist() == [[0, 1], [1, 0]]
    assert np.argwhere(found.edges[0]).tolist() == [[1, 0]]


def test_shapes_that_do_not_belong_together():
    one = cases.graphs(3)
    for bad in ({"edges": one.edges[:2]}, {"nodes": one.nodes[..., 0]}, {"extras": one.extras[:1]}):
        parts = {"nodes": one.nodes, "edges": one.edges, "counts": one.counts, "extras": one.extras} | bad
        with pytest.raises(InputError, match=r"Received: \(3, 7"):
            Graphs(**parts)
