"""NAS-Bench-101 against what follows from its definition."""

import collections
import itertools
import os
import pickle

import networkx
import numpy as np
import pytest
from scipy import stats

import spaces
from spaces.nasbench101 import enumeration as nasbench101_enumeration
from spaces.nasbench101 import network as nasbench101_network
from spaces.nasbench101 import space as nasbench101
from spaces.nasbench101.network import CONV1X1, CONV3X3, MAXPOOL3X3, OPS
from tests import nasbench101_plain
from tfnas.errors import InputError
from tfnas.networks.builder import GraphBuilder

_SPACE = spaces.get("nasbench101")
_PUBLISHED = {2: 1, 3: 6, 4: 84, 5: 2_441, 6: 62_010, 7: 359_082}  # cells by number of vertices
_INCEPTION = _SPACE.parse("conv1x1~0|conv3x3~0|conv3x3~0|conv3x3~3|maxpool3x3~0|output~1245")
# On 7 vertices, of which 1, 4 and 5 are pruned: they end nowhere, begin nowhere, are alone.
_LOOSE = _SPACE.parse("conv1x1~0|conv3x3~0|maxpool3x3~02|conv3x3~|conv1x1~|output~34")


def _draw(count, seed=0):
    rng = np.random.default_rng(seed)
    return [_SPACE.sample(rng) for _ in range(count)]


def _draw_uniform(count, seed=0):
    rng = np.random.default_rng(seed)
    return [_SPACE.sample_uniform(rng) for _ in range(count)]


def _is_isomorphic(first, second):
    return networkx.is_isomorphic(_SPACE.graph(first), _SPACE.graph(second), lambda a, b: a["op"] == b["op"])


def _valid(matrices):
    """Which matrices [N, 7, 7] make a valid cell, and how many vertices it keeps: ([N] bool, [N] int)."""
    reach = np.linalg.matrix_power(np.eye(7, dtype=np.int64) + matrices, 7) > 0
    kept = reach[:, 0, :] & reach[:, :, 6]
    edges = (matrices * kept[:, :, None] * kept[:, None, :]).sum((1, 2))
    return kept[:, 0] & (edges <= 9), kept.sum(1)


class TestCells:
    def test_strings(self):
        assert str(_INCEPTION) == "conv1x1~0|conv3x3~0|conv3x3~0|conv3x3~3|maxpool3x3~0|output~1245"
        assert _INCEPTION.ops == ("input", CONV1X1, CONV3X3, CONV3X3, CONV3X3, MAXPOOL3X3, "output")
        assert [v for v in range(7) if _INCEPTION.matrix[0][v]] == [1, 2, 3, 5]
        assert str(_SPACE.cell([[0, 1], [0, 0]], ["input", "output"])) == "output~0"

    def test_pruning(self):
        assert str(_LOOSE.pruned) == "conv3x3~0|maxpool3x3~01|output~2"
        assert _LOOSE.pruned.pruned is _LOOSE.pruned
        for cell in _draw(100):
            graph = networkx.DiGraph(zip(*np.nonzero(cell.matrix), strict=True))
            kept = sorted(({0} | networkx.descendants(graph, 0)) & ({6} | networkx.ancestors(graph, 6)))
            assert cell.pruned.ops == tuple(cell.ops[v] for v in kept)
            assert np.array_equal(cell.pruned.matrix, np.array(cell.matrix)[np.ix_(kept, kept)])

    def test_pickling(self):
        assert pickle.loads(pickle.dumps(_LOOSE)) == _LOOSE
        assert pickle.loads(pickle.dumps(_LOOSE.pruned)) == _LOOSE.pruned

    def test_large_cells_are_pruned(self):
        """Limits hold after pruning, as in the benchmark."""
        matrix = np.zeros((9, 9), bool)
        matrix[0, 8] = matrix[0, 3] = matrix[3, 8] = matrix[4, 5] = True
        cell = _SPACE.cell(matrix, ["input", *[CONV3X3] * 7, "output"])
        assert str(cell) == "conv3x3~0|output~01"
        matrix[range(8), range(1, 9)] = True
        with pytest.raises(InputError, match="9 vertices and 11 edges after pruning instead of 7 and 9 at most"):
            _SPACE.cell(matrix, ["input", *[CONV3X3] * 7, "output"])

    @pytest.mark.parametrize(
        ("matrix", "ops", "message"),
        [
            ([[0, 1]], ["input", "output"], r"shape \(1, 2\) and 2 labels"),
            ([[0, 1], [0, 0]], ["input", CONV3X3, "output"], r"shape \(2, 2\) and 3 labels"),
            ([[0, 1], [1, 0]], ["input", "output"], r"0 on and below its diagonal. Received: \[\[0, 1\], \[1, 0\]\]"),
            ([[0, 2], [0, 0]], ["input", "output"], "0 on and below its diagonal"),
            ([[0, 1], [0, 0]], ["output", "input"], r"Received: \['output', 'input'\]"),
            (np.eye(3, k=1), ["input", "conv3x3", "output"], "Received: .*'conv3x3'"),
            ([[0]], ["input"], r"Received: \['input'\]"),
            (np.zeros((3, 3)), ["input", CONV3X3, "output"], "no path from input to output"),
        ],
    )
    def test_bad_matrices(self, matrix, ops, message):
        with pytest.raises(InputError, match=message) as error:
            _SPACE.cell(matrix, ops)
        assert "\n" not in str(error.value)

    def test_bits(self):
        assert nasbench101.from_bits(2, 1, "") == _SPACE.parse("output~0")
        # Edges 0-1, 0-2 and 1-2 are bits 0, 1 and 2.
        assert nasbench101.from_bits(3, 0b111, "2") == _SPACE.parse("maxpool3x3~0|output~01")
        assert nasbench101.to_bits(_LOOSE) == nasbench101.to_bits(_LOOSE.pruned) == (4, 0b100111, "02")
        for cell in _draw(50):
            assert nasbench101.from_bits(*nasbench101.to_bits(cell)) == cell.pruned

    @pytest.mark.parametrize("row", [(1, 0, ""), (8, 1, "000000"), (3, 8, "0"), (3, -1, "0"), (3, 7, ""), (3, 7, "3")])
    def test_bad_bits(self, row):
        with pytest.raises(
            InputError, match=f"Received: num_vertices={row[0]}, adj_bits={row[1]}, op_labels={row[2]!r}"
        ):
            nasbench101.from_bits(*row)

    def test_graph_is_the_pruned_cell(self):
        graph = _SPACE.graph(_LOOSE)
        assert list(graph.nodes(data="op")) == [(0, "input"), (1, CONV3X3), (2, MAXPOOL3X3), (3, "output")]
        assert sorted(graph.edges) == [(0, 1), (0, 2), (1, 2), (2, 3)]

    def test_encoding(self):
        code = _SPACE.encode(_LOOSE)
        edges = np.zeros((7, 7))
        edges[np.triu_indices(7, 1)] = code[:21]
        assert list(zip(*np.nonzero(edges), strict=True)) == [(0, 1), (0, 2), (1, 2), (2, 6)]
        assert np.array_equal(code[21:].reshape(5, 3), [[1, 0, 0], [0, 0, 1], *[[0, 0, 0]] * 3])


class TestIsomorphism:
    def test_published_hashes(self):
        assert _SPACE.canonical(_INCEPTION) == "28cfc7874f6d200472e1a9dcd8650aa0"
        assert _SPACE.canonical(_SPACE.parse("output~0")) == "043721b9c7fe8c5fad811d47d83132ec"

    def test_order_of_the_vertices_does_not_matter(self):
        for cell in [_INCEPTION, *_draw(30)]:
            others = [_SPACE.cell(*found) for found in nasbench101_plain.isomorphs(cell.pruned)]
            assert cell.pruned in others
            assert {_SPACE.canonical(other) for other in others} == {_SPACE.canonical(cell)}
            assert {_SPACE.index(other) for other in others} == {_SPACE.index(cell)}
            # The cell of the benchmark is the first of its class.
            assert _SPACE.at(_SPACE.index(cell)) == min(others, key=_order)

    def test_different_cells_differ(self):
        """Networkx against hash and index, on cells one change apart, hence alike."""
        equal = 0
        for cell in _draw(10) + _draw_uniform(10):
            changed = [other for other in _one_change_away(cell) if other.is_valid]
            for first, second in itertools.islice(itertools.combinations([cell, *changed], 2), 0, None, 7):
                same = _is_isomorphic(first, second)
                assert (_SPACE.canonical(first) == _SPACE.canonical(second)) == same
                assert (_SPACE.index(first) == _SPACE.index(second)) == same
                equal += same
        assert equal > 10


def _order(cell):
    count, edges, labels = nasbench101.to_bits(cell)
    return nasbench101_enumeration.encode(count, edges, int(labels or "0", 3))


def _one_change_away(cell):
    """All cells one label or edge from a cell, valid or not."""
    count = len(cell.ops)
    matrix = np.array(cell.matrix)
    for v, op in itertools.product(range(1, count - 1), OPS):
        if op != cell.ops[v]:
            yield nasbench101.make_cell(matrix, [*cell.ops[1:v], op, *cell.ops[v + 1 : -1]])
    for u, v in itertools.combinations(range(count), 2):
        matrix[u, v] ^= 1
        yield nasbench101.make_cell(matrix, cell.ops[1:-1])
        matrix[u, v] ^= 1


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The file of the cells, in an empty folder, for a process that has not looked at it."""
    nasbench101_enumeration.codes()
    monkeypatch.setenv("TFNAS_CACHE", str(tmp_path / "new" / "cache"))
    _forget()
    yield tmp_path / "new" / "cache" / "nasbench101_7c8cdfc2.bin"
    monkeypatch.undo()
    _forget()


def _forget():
    nasbench101_enumeration.codes.cache_clear()


class TestEnumeration:
    def test_cells_by_vertices(self):
        cells = list(_SPACE.enumerate())
        assert collections.Counter(len(cell.ops) for cell in cells) == _PUBLISHED
        assert len(set(cells)) == len(cells) == _SPACE.size
        assert all(cell.pruned is cell for cell in cells[::50])
        assert [_SPACE.index(cell) for cell in cells[::1000]] == list(range(0, len(cells), 1000))
        assert all(_SPACE.parse(str(cell)) == cell for cell in cells[::100])

    @pytest.mark.parametrize("count", [2, 3, 4, 5, pytest.param(6, marks=pytest.mark.slow)])
    def test_against_all_labelled_graphs(self, count):
        """Every matrix and labelling, in the published order; the first of each class, by relabelling it."""
        pairs = [(x, y) for y in range(count) for x in range(y)]
        found, seen = [], set()
        for flags in itertools.product((0, 1), repeat=len(pairs)):
            matrix = np.zeros((count, count), int)
            for (x, y), flag in zip(pairs, reversed(flags), strict=True):
                matrix[x, y] = flag
            if not (matrix[:-1].any(1).all() and matrix[:, 1:].any(0).all() and matrix.sum() <= 9):
                continue
            for labels in itertools.product(OPS, repeat=count - 2):
                cell = nasbench101.make_cell(matrix, labels)
                if cell not in seen:
                    found.append(cell)
                    seen.update(
                        nasbench101.make_cell(np.array(m), ops[1:-1]) for m, ops in nasbench101_plain.isomorphs(cell)
                    )
        assert found == [cell for cell in _SPACE.enumerate() if len(cell.ops) == count]

    def test_index_out_of_range(self):
        for index in (-1, _SPACE.size):
            with pytest.raises(InputError, match=rf"lies in \[0, {_SPACE.size}\). Received: {index}"):
                _SPACE.at(index)

    def test_later_processes_read_a_file(self, cache, monkeypatch):
        codes = nasbench101_enumeration.codes()
        assert cache.read_bytes() == codes.tobytes()
        assert [file.name for file in cache.parent.iterdir()] == [cache.name]
        _forget()
        monkeypatch.setattr(nasbench101_enumeration, "compute", None)
        assert np.array_equal(nasbench101_enumeration.codes(), codes)
        with pytest.raises(ValueError, match="read-only"):
            nasbench101_enumeration.codes()[0] = 0

    def test_a_bad_file_is_replaced(self, cache, monkeypatch):
        codes = nasbench101_enumeration.codes()
        computed = []
        monkeypatch.setattr(nasbench101_enumeration, "compute", lambda: computed.append(1) or codes)
        whole = cache.read_bytes()
        for number, damaged in enumerate((b"", whole[:-4], whole + b"\n", whole[::-1]), start=1):
            cache.write_bytes(damaged)
            _forget()
            assert np.array_equal(nasbench101_enumeration.codes(), codes)
            assert len(computed) == number
            assert cache.read_bytes() == whole

    def test_no_file_can_be_written(self, cache, tmp_path):
        (tmp_path / "new").write_text("a file where the folder should be")
        assert len(nasbench101_enumeration.codes()) == _SPACE.size
        assert not cache.exists()

    def test_no_home(self, cache, tmp_path, monkeypatch):
        for variable in ("TFNAS_CACHE", "XDG_CACHE_HOME"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)
        monkeypatch.chdir(tmp_path)
        assert len(nasbench101_enumeration.codes()) == _SPACE.size
        assert not list(tmp_path.iterdir())


class TestDraws:
    def test_uniform_samples(self):
        sizes = collections.Counter(max(len(cell.ops), 5) for cell in _draw_uniform(3000))
        expected = {5: sum(_PUBLISHED[count] for count in range(2, 6)), 6: _PUBLISHED[6], 7: _PUBLISHED[7]}
        received = [sizes[count] for count in expected]
        assert stats.chisquare(received, [3000 * number / _SPACE.size for number in expected.values()]).pvalue > 1e-3

    def test_published_samples(self):
        """Sizes as those of fair matrices that make a valid cell; not those of the benchmark."""
        matrices = np.triu(np.random.default_rng(1).integers(2, size=(40_000, 7, 7)), 1)
        valid, kept = _valid(matrices)
        shares = np.bincount(kept[valid], minlength=8)[2:] / valid.sum()
        received = np.bincount([len(cell.pruned.ops) for cell in _draw(2000)], minlength=8)[2:] / 2000
        assert received == pytest.approx(shares, abs=5 * np.sqrt(0.25 / 2000))
        assert received[0] > 100 * _PUBLISHED[2] / _SPACE.size
        labels = collections.Counter(op for cell in _draw(300) for op in cell.ops[1:-1])
        assert [labels[op] / 1500 for op in OPS] == pytest.approx([1 / 3] * 3, abs=5 * np.sqrt(2 / 9 / 1500))

    def test_mutations(self):
        """Labels change as published, whatever the edges; edges as flips of 1/7 that leave a valid cell."""
        parent = _draw(1, seed=5)[0]
        count = 3000
        rng = np.random.default_rng(0)
        children = [_SPACE.mutate(parent, rng) for _ in range(count)]

        masks = np.triu(np.random.default_rng(1).random((60_000, 7, 7)) < 1 / 7, 1)
        valid, _ = _valid(np.array(parent.matrix) ^ masks)
        flips = np.mean([np.array(child.matrix) ^ np.array(parent.matrix) for child in children], 0)
        assert flips == pytest.approx(masks[valid].mean(0), abs=5 * np.sqrt(0.2 / count))
        for v in range(1, 6):
            for op in OPS:
                share = sum(child.ops[v] == op for child in children) / count
                assert share == pytest.approx(0.8 if op == parent.ops[v] else 0.1, abs=5 * np.sqrt(0.16 / count))

    def test_mutations_of_small_cells(self):
        rng = np.random.default_rng(0)
        children = [_SPACE.mutate(_SPACE.parse("output~0"), rng) for _ in range(300)]
        assert {len(child.ops) for child in children} == {7}
        assert len({len(child.pruned.ops) for child in children}) >= 4
        assert {child.ops[v] for child in children for v in range(1, 6)} == set(OPS)

    def test_neighbors(self):
        for cell in [_INCEPTION, _LOOSE, *_draw(3)]:
            changed = list(_one_change_away(cell))
            assert len(changed) == 10 + 21
            neighbors = _SPACE.neighbors(cell)
            assert set(neighbors) <= set(changed)
            expected = {_SPACE.canonical(other) for other in changed if other.is_valid} - {_SPACE.canonical(cell)}
            assert sorted(map(_SPACE.canonical, neighbors)) == sorted(expected)
        assert _SPACE.neighbors(_SPACE.parse("output~0")) == []


class TestNetworks:
    @pytest.mark.parametrize(
        ("inputs", "outputs", "edges", "expected"),
        [
            (8, 16, [(0, 1), (1, 2), (2, 3)], [8, 16, 16, 16]),
            (8, 15, [(0, 1), (0, 2), (1, 3), (2, 3)], [8, 8, 7, 15]),
            (8, 8, [(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4)], [8, 3, 3, 2, 8]),
            (8, 16, [(0, 1)], [8, 16]),
            # An edge from input to output is a projection: it takes no share of the channels.
            (8, 16, [(0, 1), (1, 2), (0, 2)], [8, 16, 16]),
            # 1 feeds 2 (8 channels) and 3 (7): the larger number.
            (8, 15, [(0, 1), (1, 2), (1, 3), (2, 4), (3, 4)], [8, 8, 8, 7, 15]),
        ],
    )
    def test_channels(self, inputs, outputs, edges, expected):
        matrix = np.zeros((len(expected),) * 2, int)
        matrix[tuple(zip(*edges, strict=True))] = 1
        assert nasbench101_network.vertex_channels(inputs, outputs, matrix.tolist()) == expected

    def test_too_narrow(self):
        cell = _SPACE.parse("conv3x3~0|conv3x3~0|conv3x3~0|output~123")
        assert _SPACE.layer_graph(cell, width=3, depth=1).output == "dense"
        with pytest.raises(InputError, match=r"Received: 2 channels\. Allowed: a width of 3 or more$") as error:
            _SPACE.layer_graph(cell, width=2)
        assert "\n" not in str(error.value)

    def test_published_parameters(self):
        assert _SPACE.layer_graph(_INCEPTION).count_params() == 2_694_282

    @pytest.mark.parametrize(
        "network",
        [
            {},
            {"width": 8, "depth": 1, "stages": 1, "classes": 2, "input_shape": (5, 7, 1)},
            {"width": 17, "depth": 2, "stages": 4, "classes": 100, "input_shape": (16, 16, 3)},
        ],
    )
    def test_parameters_by_hand(self, network):
        config = _SPACE.config(**network)
        for cell in [_INCEPTION, _LOOSE, _SPACE.parse("output~0"), *_draw(10)]:
            graph = _SPACE.layer_graph(cell, **network)
            assert graph.count_params() == nasbench101_plain.parameters(
                cell, config.width, config.depth, config.stages, config.classes, config.input_shape[-1]
            )
            assert graph.by_name[graph.features].shape == (config.width * 2 ** (config.stages - 1),)
            assert graph.num_classes == config.classes
            modules = {tuple(node.name.split(".")[:2]) for node in graph.nodes if ".module" in node.name}
            assert len(modules) == config.depth * config.stages

    def test_uneven_channels_are_cut_off(self):
        """20 channels make 7, 7 and 6: the last vertex reads the first 6 of the 7 that its source has."""
        graph = _SPACE.layer_graph("conv3x3~0|conv1x1~0|conv3x3~2|output~0123", width=20, depth=1, stages=1)
        cut = [node for node in graph.nodes if node.op == "slice_channels"]
        assert [(node.name, node.inputs, node.shape[-1]) for node in cut] == [
            ("stack0.module0.vertex_3.truncate_2", ("stack0.module0.vertex_2.Conv1x1-BN-ReLU.relu",), 6)
        ]
        by_hand = GraphBuilder((32, 32, 3))
        x = _conv_bn_relu(by_hand, "stem", "input", 20, 3)
        parts = [_conv_bn_relu(by_hand, f"p{v}", x, 7, 1) for v in (1, 2)]
        first = _conv_bn_relu(by_hand, "1", parts[0], 7, 3)
        second = _conv_bn_relu(by_hand, "2", parts[1], 7, 1)
        third = _conv_bn_relu(by_hand, "3", by_hand.slice_channels("cut", second, 6), 6, 3)
        joined = by_hand.concat("concat", [first, second, third])
        total = by_hand.add("add", [joined, _conv_bn_relu(by_hand, "p4", x, 20, 1)])
        expected = by_hand.finish(by_hand.dense("dense", by_hand.global_avg_pool("pool", total), 10))
        assert collections.Counter(map(_kind, graph.nodes)) == collections.Counter(map(_kind, expected.nodes))

    def test_pooling_vertices(self):
        """They read the sum of their inputs at their own width, a projection of the cell's input among them."""
        graph = _SPACE.layer_graph("conv3x3~0|maxpool3x3~01|output~2", width=8, depth=1, stages=2)
        for stack, width in enumerate((8, 16)):
            name = f"stack{stack}.module0.vertex_2"
            assert graph.by_name[f"{name}.MaxPool3x3"].shape[-1] == width
            assert graph.by_name[f"{name}.MaxPool3x3"].inputs == (f"{name}.add",)
            assert graph.by_name[f"{name}.add"].inputs == (
                f"stack{stack}.module0.vertex_1.Conv3x3-BN-ReLU.relu",
                f"{name}.projection.relu",
            )
        assert graph.by_name["stack1.downsample"].shape == (16, 16, 8)

    def test_least_width(self):
        """As many vertices as can share the output's channels get one each."""
        cell = "conv3x3~0|conv3x3~0|conv3x3~0|conv3x3~0|output~1234"
        graph = _SPACE.layer_graph(cell, width=_SPACE.min_width, depth=1)
        assert graph.by_name["stack0.module0.vertex_1.Conv3x3-BN-ReLU.relu"].shape[-1] == 1
        with pytest.raises(InputError, match="4 vertices of the cell share its output"):
            _SPACE.layer_graph(cell, width=_SPACE.min_width - 1, depth=1)

    def test_keras_model(self):
        model = _SPACE.build(_INCEPTION, width=8, depth=1, input_shape=(8, 8, 3))
        norms = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
        assert {(norm.momentum, norm.epsilon, norm.scale, norm.center) for norm in norms} == {(0.997, 1e-5, True, True)}
        convolutions = [layer for layer in model.layers if type(layer).__name__ == "Conv2D"]
        assert len(norms) == len(convolutions) == 1 + 3 * (4 + 4)
        assert {layer.use_bias for layer in convolutions} == {False}
        # Variance scaling: cut-off normal of variance 1 / fan_in; dense kernel: Glorot's uniform limit.
        stem = convolutions[0].kernel.numpy()
        assert np.std(stem) == pytest.approx(1 / np.sqrt(27), rel=0.15)
        assert np.abs(stem).max() <= 2 / 0.8796 / np.sqrt(27)
        dense = model.get_layer("dense")
        assert np.sqrt(6 / 42) * 0.9 < np.abs(dense.kernel.numpy()).max() <= np.sqrt(6 / 42)
        assert not dense.bias.numpy().any()


def _conv_bn_relu(builder, name, x, channels, size):
    x = builder.conv(f"{name}.conv", x, channels, size)
    return builder.activation(f"{name}.relu", builder.batch_norm(f"{name}.bn", x, momentum=0.997, epsilon=1e-5))


def _kind(node):
    return (node.op, node.shape, node.params, len(node.inputs))
