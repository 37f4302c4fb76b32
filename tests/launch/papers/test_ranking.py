"""Bars of ours beside the paper's."""

import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from launch.papers import ranking
from launch.papers.registry import EXPERIMENTS
from tests.launch.papers import cases
from tfnas.errors import InputError


def rows_of(paper, dataset="cifar10", ours=(0.7, 0.6, 0.5)):
    methods = ["gradsign", "synflow", "params"]
    bounds = {"low": np.subtract(ours, 0.1), "high": np.add(ours, 0.1)}
    return pd.DataFrame({"dataset": dataset, "init": "torch", "method": methods, "ours": ours, "paper": paper} | bounds)


def bars(axes):
    """(lower edge, upper edge, length) of the bars by label, as matplotlib has them."""
    return {
        container.get_label(): [
            (bar.get_y(), bar.get_y() + bar.get_height(), bar.get_width()) for bar in container.patches
        ]
        for container in axes.containers
    }


def legend(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_both_bars_of_a_row_touch_its_tick_and_a_single_one_sits_on_it():
    figure = ranking.beside_the_paper(rows_of([0.76, 0.7, math.nan]), "spearman")
    (axes,) = figure.axes
    assert axes.get_yticks().tolist() == [0, 1, 2]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["gradsign", "synflow", "params"]
    found = bars(axes)
    assert len(found["paper"]) == 2
    for row in (0, 1):
        (_, mine, length), (theirs, _, printed) = found["ours"][row], found["paper"][row]
        assert mine == pytest.approx(row, abs=0.02)
        assert theirs == pytest.approx(row, abs=0.02)
        assert mine <= theirs
        assert (length, printed) == ((0.7, 0.76), (0.6, 0.7))[row]
    low, high, _ = found["ours"][2]
    assert (low + high) / 2 == pytest.approx(2)
    # Each interval runs through the middle of its bar; the first row is on top.
    for (left, right), (low, high, length) in zip(axes.collections[0].get_segments(), found["ours"], strict=True):
        assert left[1] == right[1] == pytest.approx((low + high) / 2)
        assert (left[0], right[0]) == pytest.approx((length - 0.1, length + 0.1))
    assert axes.yaxis_inverted()
    assert legend(figure) == ["ours", "paper"]


def test_where_the_paper_prints_nothing_there_is_no_grey():
    figure = ranking.beside_the_paper(rows_of(math.nan), "spearman")
    found = bars(figure.axes[0])
    assert list(found) == ["ours"]
    assert [(low + high) / 2 for low, high, _ in found["ours"]] == pytest.approx([0, 1, 2])
    assert legend(figure) == []


def test_the_legend_knows_what_any_panel_shows():
    both = pd.concat([rows_of(math.nan, "digits"), rows_of([0.8, 0.7, 0.6])])
    figure = ranking.beside_the_paper(both, "spearman", left=-0.5)
    assert [axes.get_title() for axes in figure.axes] == ["digits", "cifar10"]
    assert legend(figure) == ["ours", "paper"]
    assert all(axes.get_xlim()[0] == -0.5 and axes.yaxis_inverted() for axes in figure.axes)


def test_panels_that_lack_a_method_leave_its_place_empty():
    both = pd.concat([rows_of([0.8, 0.7, 0.6], "digits"), rows_of(math.nan)[1:]])
    left, right = ranking.beside_the_paper(both, "spearman").axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["gradsign", "synflow", "params"]
    lengths = [length for _, _, length in bars(right)["ours"]]
    assert math.isnan(lengths[0])
    assert lengths[1:] == [0.6, 0.5]


def test_bars_that_stand_upright():
    figure = Figure()
    axes = figure.subplots()
    places = ranking.draw_pairs(axes, rows_of([0.76, math.nan, 0.4]), upright=True)
    ours, paper = axes.containers
    assert [bar.get_height() for bar in ours.patches] == [0.7, 0.6, 0.5]
    assert [bar.get_height() for bar in paper.patches] == [0.76, 0.4]
    assert [bar.get_x() + bar.get_width() / 2 for bar in ours.patches] == pytest.approx(places)
    assert places.tolist() == [-0.2, 1.0, 1.8]


def test_records_with_another_initialisation_end_in_one_line():
    truth = {"digits": pd.Series([1.0, 2.0, 3.0], ["a", "b", "c"])}
    records = cases.frame_of({"lga": [1.0, 2.0, 3.0]}, ["a", "b", "c"])
    told = r"No records with initialisation xavier, .* on digits\. Received: records with torch on digits"
    with pytest.raises(InputError, match=told):
        ranking.rank_correlations(cases.inputs_of(EXPERIMENTS["lga_fig4"], records, truth), statistic="kendall")
    other = cases.frame_of({"gradsign": [1.0, 2.0, 3.0]}, ["a", "b", "c"], init="kaiming")
    with pytest.raises(InputError, match=r"torch on digits\. Received: records with kaiming on digits"):
        ranking.scatter(cases.inputs_of(EXPERIMENTS["gs_figA_1"], other, truth))


def test_scores_are_drawn_against_accuracies_as_far_as_there_are_some():
    archs, figure = ["a", "b", "c"], EXPERIMENTS["gs_figA_1"]
    truth = {name: pd.Series([1.0, 2.0, 3.0], archs) for name in ("digits", "cifar10", "cifar100")}
    parts = [
        cases.frame_of({"gradsign": [3.0, 4.0, 5.0], "params": [7.0, 8.0, 9.0]}, archs, "digits"),
        cases.frame_of({"gradsign": [5.0, 4.0, 3.0]}, archs, "cifar10"),
        cases.frame_of({"synflow": [5.0, 4.0, 3.0], "params": [7.0, 8.0, 9.0]}, archs, "cifar100"),
    ]
    made = ranking.scatter(cases.inputs_of(figure, pd.concat(parts), truth))
    digits, cifar10, _ = made.figure.axes  # sizes colour the first alone
    assert [axes.get_title() for axes in (digits, cifar10)] == ["digits", "cifar10"]
    assert digits.collections[0].get_offsets().tolist() == [[3, 1], [4, 2], [5, 3]]
    assert digits.collections[0].get_array().tolist() == [7, 8, 9]
    assert cifar10.collections[0].get_offsets().tolist() == [[5, 1], [4, 2], [3, 3]]
    assert cifar10.collections[0].get_array() is None
    assert made.rows.set_index(["dataset", "method"])["ours"]["cifar10", "gradsign"] == -1
    with pytest.raises(InputError, match=r"No records of gradsign\. Received: synflow, params"):
        ranking.scatter(cases.inputs_of(figure, parts[2], truth))


def test_records_of_two_settings_are_refused_with_a_way_out():
    archs = ["a", "b", "c"]
    both = pd.concat([cases.frame_of({"gradsign": [1.0, 2.0, 3.0]}, archs, width=width) for width in (4, 8)])
    inputs = cases.inputs_of(EXPERIMENTS["gs_table5_2"], both, {"digits": pd.Series([1.0, 2.0, 3.0], archs)})
    with pytest.raises(InputError, match=r"differ in width .* Give a folder for each width to --scores"):
        ranking.rank_correlations(inputs)
