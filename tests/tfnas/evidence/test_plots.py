"""Plots: what is drawn, on what axis, and that no input breaks them."""

import itertools
import math
import subprocess
import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tfnas import evidence
from tfnas.evidence import plots

NETWORKS = 60


@pytest.fixture
def scored():
    """Joined scores, their summary and the sizes: proxies of every kind of range."""
    rng = np.random.default_rng(0)
    truth = pd.Series(80 + 10 * rng.random(NETWORKS), index=[f"|net{i}|" for i in range(NETWORKS)])
    truth.iloc[7] = 10.0
    z = ((truth - 85) / 5).clip(-1)
    params = 1e5 * np.exp(z + rng.normal(size=NETWORKS))
    columns = {
        "params": params,
        "plain": z + rng.normal(size=NETWORKS),
        "huge": np.exp(40 * z),
        "zeros": np.exp(40 * z).where(np.arange(NETWORKS) > 1, 0.0),
        "minus_inf": z.where(np.arange(NETWORKS) != 4, -math.inf),
        "both_signs": np.sign(z) * np.exp(20 * z.abs()),
        "constant": 0 * z + 1,
        "failed": 0 * z + math.nan,
        "partly": z.where(np.arange(NETWORKS) % 2 == 0),
    }
    long = pd.DataFrame(columns).rename_axis("arch").reset_index().melt("arch", var_name="proxy", value_name="score")
    summary = evidence.correlate(long, truth, resamples=20)
    return evidence.join(evidence.average(long), truth), summary, params


def panel(figure, name):
    (axes,) = [axes for axes in figure.axes if axes.get_title().startswith(f"{name}\n")]
    return axes


def offsets(axes):
    return np.asarray(axes.collections[0].get_offsets())


def test_scatter_axes_fit_the_scores(scored):
    joined, summary, params = scored
    figure = plots.scatter_grid(joined, summary, size=params, truth_label="test accuracy (%)", size_label="parameters")
    assert panel(figure, "plain").get_xscale() == "linear"
    np.testing.assert_allclose(offsets(panel(figure, "plain"))[:, 0], joined["plain"])
    assert panel(figure, "huge").get_xscale() == "log"
    zeros = panel(figure, "zeros")
    assert zeros.get_xscale() == "log"
    assert "0 at the left edge" in zeros.get_xlabel()
    for name in ("minus_inf", "both_signs"):
        axes = panel(figure, name)
        assert "rank" in axes.get_xlabel()
        np.testing.assert_allclose(offsets(axes)[:, 0], joined[name].rank())
    assert len(offsets(panel(figure, "partly"))) == NETWORKS // 2
    assert "no score" in panel(figure, "failed").texts[0].get_text()


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (6e4, 1.2e5, ["60k", "80k", "100k", "120k"]),
        (2e5, 1.3e6, ["500k", "1M"]),
        (0.0, 2.3e7, ["0", "10M", "20M"]),
        (1700.0, 2300.0, ["1800", "2000", "2200"]),
        (1e20, 4e20, ["1", "2", "3", "4"]),  # and 1e20 at the end of the axis
    ],
)
def test_few_ticks_that_can_be_read(low, high, told):
    figure = matplotlib.figure.Figure()
    axes = figure.subplots()
    axes.plot([low, high], [0, 1])
    axes.margins(0)
    plots.few_ticks(axes.xaxis)
    figure.draw_without_rendering()
    shown = [
        label.get_text()
        for place, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        if low <= place <= high
    ]
    assert [text.rstrip("0").rstrip(".") if "." in text else text for text in shown] == told


def test_labels_of_small_panels_do_not_touch(scored):
    joined, summary, params = scored
    joined = joined.assign(plain=9e4 + 3e4 * joined["plain"], minus_inf=7e7 * (1 + joined["plain"]))
    figure = plots.scatter_grid(joined, summary, size=params)
    figure.draw_without_rendering()
    for axes in figure.axes:
        low, high = sorted(axes.get_xlim())
        labels = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        boxes = [label.get_window_extent() for place, label in labels if low <= place <= high and label.get_text()]
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes)), axes.get_title()


def test_scatter_titles_hold_the_coefficients_in_order(scored):
    joined, summary, params = scored
    figure = plots.scatter_grid(joined, summary, size=params)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert [title.partition("\n")[0] for title in titles] == summary["proxy"].tolist()
    row = summary.set_index("proxy").loc["plain"]
    assert f"{row['kendall']:.2f}" in panel(figure, "plain").get_title()
    assert f"{row['spearman']:.2f}" in panel(figure, "plain").get_title()
    assert "undefined" in panel(figure, "constant").get_title()


def test_scatter_colours_by_size(scored):
    joined, summary, params = scored
    figure = plots.scatter_grid(joined, summary, size=params, size_label="trainable parameters")
    points = panel(figure, "plain").collections[0]
    np.testing.assert_allclose(points.get_array(), params.reindex(joined.index))
    assert isinstance(points.norm, matplotlib.colors.LogNorm)
    assert any(axes.get_ylabel() == "trainable parameters" for axes in figure.axes)
    plain = plots.scatter_grid(joined, summary)
    assert len(plain.axes) == len(figure.axes) - 1  # no colour bar


def test_scatter_tells_what_it_does_not_show(scored, monkeypatch):
    joined, summary, _ = scored
    figure = plots.scatter_grid(joined, summary)
    # The network at 10% would squeeze the other 59 into the upper tenth: it stands at the edge.
    assert "2 networks below 80" in figure.get_supxlabel()
    assert offsets(panel(figure, "plain"))[:, 1].min() > 79
    monkeypatch.setattr(plots, "_MAX_POINTS", 25)
    figure = plots.scatter_grid(joined, summary)
    assert "25 of 60 networks" in figure.get_supxlabel()
    assert len(offsets(panel(figure, "plain"))) == 25


def test_bars(scored):
    _, summary, _ = scored
    figure = plots.bars(summary, baselines=["params"], title="a title")
    kendall, spearman = figure.axes
    assert [label.get_text() for label in kendall.get_yticklabels()] == summary["proxy"].tolist()
    widths = [bar.get_width() for bar in kendall.patches]
    np.testing.assert_allclose(widths, summary["kendall"].fillna(0))
    np.testing.assert_allclose([bar.get_width() for bar in spearman.patches], summary["spearman"].fillna(0))
    colours = {matplotlib.colors.to_hex(bar.get_facecolor()).upper() for bar in kendall.patches}
    assert colours == {plots.PROXY_COLOUR, plots.BASELINE_COLOUR}
    assert sum(text.get_text() == "undefined" for text in kendall.texts) == summary["kendall"].isna().sum() == 2
    intervals = kendall.collections[0].get_segments()
    drawn = summary.dropna(subset=["kendall_lo"])
    np.testing.assert_allclose([segment[:, 0] for segment in intervals], drawn[["kendall_lo", "kendall_hi"]])


@pytest.mark.parametrize("order", [["params", "flops"], ["flops", "params"]])
def test_the_line_of_sizes_is_that_of_the_best_that_is_defined(order):
    values = pd.DataFrame({"params": [np.nan, np.nan, np.nan], "flops": [0.3, 0.2, 0.4]}, index=["", "_lo", "_hi"])
    columns = {
        f"{key}{end}": values.loc[end, order].tolist() for key in ("kendall", "spearman") for end in values.index
    }
    axes = plots.bars(pd.DataFrame({"proxy": order} | columns), baselines=["params", "flops"]).axes[0]
    assert [line.get_xdata()[0] for line in axes.lines] == [0.3, 0]


def test_pqetp_curves_are_the_auroc(scored):
    from sklearn import metrics

    joined, summary, _ = scored
    figure = plots.pqetp_curves(joined, summary, baselines=["params"], shown=3, points=9)
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    named = [name for name in lines if not name.startswith("_")]
    assert len(named) == 4
    assert "params" in named
    thresholds, values = lines["params"].get_data()
    assert len(thresholds) == 9
    for threshold, value in zip(thresholds, values, strict=True):
        assert value == pytest.approx(metrics.roc_auc_score(joined["truth"] > threshold, joined["params"]))


@pytest.mark.parametrize("draw", ["scatter", "bars", "pqetp"])
def test_saved_files_are_small_pngs(scored, tmp_path, draw):
    joined, summary, params = scored
    figure = {
        "scatter": lambda: plots.scatter_grid(joined, summary, size=params),
        "bars": lambda: plots.bars(summary, baselines=["params"]),
        "pqetp": lambda: plots.pqetp_curves(joined, summary),
    }[draw]()
    path = tmp_path / "plot.png"
    plots.save(figure, path)
    assert path.stat().st_size < 200_000
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert min(image.size) > 200
        assert np.asarray(image.convert("L")).std() > 5  # something is drawn
    assert [file.name for file in tmp_path.iterdir()] == ["plot.png"]


@pytest.mark.parametrize("networks", [1, 2])
def test_few_networks(tmp_path, networks):
    truth = pd.Series([50.0, 60.0][:networks], index=["a", "b"][:networks])
    long = pd.DataFrame({"arch": truth.index, "proxy": "p", "score": [1.0, 2.0][:networks]})
    summary = evidence.correlate(long, truth, resamples=5)
    joined = evidence.join(evidence.average(long), truth)
    for i, figure in enumerate(
        (
            plots.scatter_grid(joined, summary, size=joined["p"]),
            plots.bars(summary),
            plots.pqetp_curves(joined, summary),
        )
    ):
        plots.save(figure, tmp_path / f"{i}.png")
    assert len(list(tmp_path.iterdir())) == 3


def test_no_pyplot():
    code = (
        "import sys, pandas as pd; from tfnas.evidence import plots; "
        "plots.bars(pd.DataFrame({k: [0.5] for k in ['kendall', 'kendall_lo', 'kendall_hi', 'spearman', 'spearman_lo', "
        "'spearman_hi']} | {'proxy': ['p']})); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
