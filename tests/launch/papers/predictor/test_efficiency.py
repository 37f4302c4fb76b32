"""Figure 4 on a small table."""

import dataclasses
import functools

import numpy as np
import pandas as pd
import pytest

import spaces
from launch import reproduce
from launch.jobs import prediction
from launch.papers.base import Inputs
from launch.papers.parts import Parts
from launch.papers.predictor import efficiency, evolution, oracle, tables
from launch.papers.registry import EXPERIMENTS
from tfnas import seeds
from tfnas.predictor.settings import PAPER

pytestmark = pytest.mark.usefixtures("uncompiled")

SPACE = spaces.get("nasbench201")
QUICK = dataclasses.replace(PAPER, layers=1, heads=(), epochs=2, width=6)
ELSEWHERE = "the paper's numbers are of nasbench101 and do not stand beside those of nasbench201"


def inputs_of(*, runs):
    archs = SPACE.sample_distinct(np.random.default_rng(0), 60)
    rng = np.random.default_rng(2)
    means = np.array([80 + 3 * str(arch).count("3x3~") for arch in archs]) + rng.uniform(size=60)
    columns = {"cifar10": means}
    if runs:
        columns |= {f"val_108_{run}": means - 1 + rng.normal(size=60) for run in range(3)}
    frame = pd.DataFrame(columns, index=pd.Index(map(str, archs), name="arch"))
    return tables.ordered(Inputs(EXPERIMENTS["np_fig4"], SPACE, frame, ("cifar10",), None, seed=3, repeats=2))


def best_of(validated, tests, rows):
    place = max(rows, key=lambda row: validated[row])
    return validated[place], tests[place]


@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize("shift", [0, 20])
def test_every_line_is_the_best_by_validation_of_what_was_trained(monkeypatch, runs, shift):
    """By the paper's threshold, and where few lie above it."""
    monkeypatch.setattr(efficiency, "BUDGETS", (50, 55))
    inputs = inputs_of(runs=runs)
    inputs = dataclasses.replace(inputs, truth=inputs.truth - shift)
    monkeypatch.setattr(tables.n_train, "__defaults__", (20,))
    made = efficiency.search_efficiency(inputs, settings=QUICK, most=55)
    rows = made.rows.set_index(["method", "measure"])
    tests = inputs.truth["cifar10"].to_numpy()
    validated = 100 * tables.draw_runs(tables.runs(inputs), 3, 0) if runs else tests
    known = dataclasses.replace(tables.known(inputs), accuracies=validated / 100)
    table = evolution.Table(SPACE, known.archs)
    learned = [prediction.draw(known, 20, repeat, 3) for repeat in range(2)]
    cuts = [np.median(known.accuracies[rows_]) if shift else 0.91 for rows_ in learned]
    assert any("the median of the networks that a repeat learns from" in note for note in made.notes) == (shift > 0)
    predicted = {efficiency.ONE: prediction.train(QUICK, known, 20, range(2), 3, None).predict_graphs(known.graphs)}
    predicted[efficiency.TWO] = np.hstack(
        [
            prediction.train(QUICK, known, 20, [repeat], 3, cut).predict_graphs(known.graphs)
            for repeat, cut in enumerate(cuts)
        ]
    )
    for budget in (40, 50, 55):
        found = {name: [] for name in (efficiency.RANDOM, efficiency.EVOLUTION, efficiency.ONE, efficiency.TWO)}
        for repeat in range(2):
            rng = np.random.default_rng(seeds.derive_seed(3, efficiency.RANDOM, repeat))
            found[efficiency.RANDOM].append(best_of(validated, tests, rng.permutation(60)[:budget]))
            rng = np.random.default_rng(seeds.derive_seed(3, efficiency.EVOLUTION, repeat))
            evolved = evolution.regularised(table, known.accuracies, 55, rng, population=13)
            found[efficiency.EVOLUTION].append(best_of(validated, tests, evolved[:budget]))
        for name, values in predicted.items():
            for repeat in range(2):
                others = np.setdiff1d(np.arange(60), learned[repeat])
                order = sorted(others, key=lambda row: -values[row, repeat])
                found[name].append(best_of(validated, tests, order[: budget - 20]))
        for name, pairs in found.items():
            for kind in ("val", "test") if runs else ("test",):
                place = ("val", "test").index(kind)
                numbers = [pair[place] for pair in pairs]
                row = rows.loc[(name, f"{kind} of {budget}")]
                assert row.ours == pytest.approx(np.mean(numbers))
                assert row.high - row.ours == pytest.approx(np.std(numbers), abs=1e-9)
    if runs:
        pairs = [oracle.oracle(tables.runs(inputs), tests, 3, repeat) for repeat in range(2)]
        assert rows.ours["oracle", "val of all"] == pytest.approx(np.mean([pair[0] for pair in pairs]))
    else:
        assert rows.ours["oracle", "test of all"] == pytest.approx(tests.max())
        assert not [measure for _, measure in rows.index if measure.startswith("val")]
        assert len(made.figure.axes) == 1
        assert any("one column validates" in note for note in made.notes)


def test_speed_ups_of_the_paper_are_of_its_5000(monkeypatch):
    """Relative to what evolution has after fewer networks, or in another space, they are none of the paper's."""
    curves = {name: np.arange(8.0).reshape(1, 4, 2) for name in (efficiency.EVOLUTION, efficiency.ONE, efficiency.TWO)}
    other = inputs_of(runs=False)
    own = dataclasses.replace(other, space=spaces.get("nasbench101"))
    for inputs, most, kinds, expected in (
        (own, efficiency.MOST, ("val", "test"), [12.4, 22.83]),
        (own, efficiency.MOST, ("test",), [22.83]),
        (own, 4999, ("val", "test"), []),
        (other, efficiency.MOST, ("val", "test"), []),
    ):
        rows = pd.DataFrame(efficiency._speedups(inputs, curves, most, 20, 60, kinds))
        assert rows.paper.dropna().tolist() == expected


def test_accuracies_of_the_paper_are_of_its_space():
    """Rows that it prints numbers of have them in NAS-Bench-101 alone."""
    curves = {name: np.zeros((1, 5000, 2)) for name in (efficiency.RANDOM, efficiency.EVOLUTION)}
    other = inputs_of(runs=False)
    for name, kinds, paper, std in (
        ("nasbench101", ("val", "test"), [93.66, 93.97, 95.06, 94.04], [0.25, 0.26]),
        ("nasbench101", ("test",), [93.66, 93.97, 94.04], [0.25, 0.26]),
        ("nasbench201", ("val", "test"), [], []),
    ):
        inputs = dataclasses.replace(other, space=spaces.get(name))
        rows = pd.DataFrame(efficiency._at_budgets(inputs, curves, 5000, 172, 423_624, kinds))
        assert (rows.paper.dropna().tolist(), rows.paper_std.dropna().tolist()) == (paper, std)


@pytest.mark.parametrize("runs", [True, False])
def test_the_order_of_the_table_does_not_matter(runs):
    inputs = dataclasses.replace(inputs_of(runs=runs), repeats=1)
    other = dataclasses.replace(inputs, truth=inputs.truth.sort_values("cifar10", ascending=False))
    first, second = (efficiency.search_efficiency(one, settings=QUICK, most=50).rows for one in (inputs, other))
    pd.testing.assert_frame_equal(first, second)


def test_how_soon_a_value_is_reached():
    curve = np.array([1.0, 2, 2, 5])
    assert [efficiency.first_reached(curve, wanted) for wanted in (0.5, 2, 2.5, 5, 6)] == [1, 2, 4, 4, 0]


def test_numbers_of_the_paper_stand_beside_ours(monkeypatch):
    lines = {method: name for (method, budget), name in efficiency._PRINTED.items() if budget == 2000}
    assert lines == {efficiency.RANDOM: "random_2000", efficiency.EVOLUTION: "re_2000"}
    expected = EXPERIMENTS["np_fig4"].expected
    assert set(expected) == {*efficiency._PRINTED.values(), "speedup_val", "speedup_test"}


def test_from_the_command_line(tmp_path, monkeypatch, capsys):
    """On the embedded table, whose runs stand in for those that validate."""
    experiment = EXPERIMENTS["np_fig4"]
    make = functools.partial(experiment.make, settings=QUICK, most=150)
    monkeypatch.setitem(EXPERIMENTS, "np_fig4", dataclasses.replace(experiment, make=make, repeats=(1, 10)))
    assert reproduce.main(["--experiment=np_fig4", f"--output={tmp_path}"]) == 0
    found = pd.read_csv(tmp_path / "results.csv")
    assert found[found.measure.str.startswith(("val", "test"))].ours.between(50, 100).all()
    assert found.paper.isna().all()
    assert ELSEWHERE in capsys.readouterr().out
    assert (tmp_path / "np_fig4.png").exists()


def test_an_interrupted_figure_goes_on_with_the_repeats_that_are_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(prediction, "TOGETHER", 1)
    inputs = dataclasses.replace(inputs_of(runs=True), repeats=3)
    whole = efficiency.search_efficiency(inputs, settings=QUICK, most=50)
    inputs = dataclasses.replace(inputs, parts=Parts(str(tmp_path)))
    trained, train = [], prediction.train

    def until(last):
        def asked(settings, known, number, repeats, *rest):
            if list(repeats) == [last]:
                raise KeyboardInterrupt
            trained.append(list(repeats))
            return train(settings, known, number, repeats, *rest)

        return asked

    monkeypatch.setattr(prediction, "train", until(2))
    with pytest.raises(KeyboardInterrupt):
        efficiency.search_efficiency(inputs, settings=QUICK, most=50)
    monkeypatch.setattr(prediction, "train", until(9))
    made = efficiency.search_efficiency(inputs, settings=QUICK, most=50)
    assert trained == [[0], [0], [1], [1], [2], [2]]
    pd.testing.assert_frame_equal(made.rows, whole.rows)
