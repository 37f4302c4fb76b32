"""Fractions and percent: which is meant, and what cannot be."""

import math

import numpy as np
import pandas as pd
import pytest

from tfnas import evidence, tables
from tfnas.errors import InputError
from tfnas.evidence import units


def accuracies(*values):
    return pd.Series(values, [f"net{i}" for i in range(len(values))])


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        ((0.1, 0.93, 1.0), "fraction"),
        ((10.0, 93.0, math.nan, 100.0), "percent"),
        ((0.0, 10.0, 93.0), "percent"),  # nothing learned at all
        ((0.8333333, 0.8333334, 45.2, 3.1, 90.0), "percent"),  # 120 classes at chance
        ((0.5, 0.5, 0.5, 12.0, 60.0, 55.0), "percent"),  # 200 classes at chance
        ((0.3, 0.7, 1.3, 4.0, 30.0, 70.0), "percent"),  # runs on through 1
        ((-1.0, 88.0, 91.0), "percent"),
        ((0.2, 830.0, 1200.0), "percent"),  # not accuracies at all
    ],
)
def test_the_unit_that_values_show(values, unit):
    assert units.check(accuracies(*values), "", "x") == unit
    assert units.check(accuracies(*values[::-1]), "unknown", "x") == unit
    factor = 100 if unit == "fraction" else 1
    np.testing.assert_array_equal(units.percent(accuracies(*values), "", "x"), factor * np.array(values))


def test_fractions_among_percent_are_refused_with_numbers():
    values = accuracies(91.0, 0.1, 93.5, 0.9213, 10.0, 0.902, 88.0)
    with pytest.raises(InputError) as error:
        units.check(values, "", "acc of t.csv")
    message = str(error.value)
    assert "\n" not in message
    # 0.1 may be chance among a thousand classes: the example is one that nothing but the unit explains.
    assert (
        "acc of t.csv mixes fractions and percent. Received: 3 values from 0 to 1 (such as 0.9213 of 'net3')" in message
    )
    assert "4 above 1 (such as 91 of 'net0')" in message
    assert "--units" in message
    assert units.check(values, "percent", "x") == "percent"  # who has recorded it knows
    with pytest.raises(InputError, match="mixes"):
        units.percent(values, "", "x")


def test_one_network_in_percent_among_fractions_is_found():
    values = accuracies(*np.linspace(0.85, 0.94, 30), 93.1)
    with pytest.raises(InputError, match=r"30 values from 0 to 1 .*, 1 above 1 \(such as 93\.1 of 'net30'\)"):
        units.check(values, "", "x")


@pytest.mark.parametrize(
    ("values", "unit", "told"),
    [
        ((0.5, 0.9, 90.5, 1.2), "fraction", r"recorded as fraction, but 2 of 4 .*such as 90\.5 of 'net2'.* 0 to 1$"),
        ((50.0, 101.0), "percent", r"recorded as percent, but 1 of 2 .*such as 101 of 'net1'.* 0 to 100$"),
        ((50.0, -1.0), "percent", r"1 of 2 .*such as -1 of 'net1'"),
        ((50.0, math.inf, -math.inf), "", r"x is infinite for 2 of 3 rows\. Received: such as inf of 'net1'"),
        ((50.0, math.inf), "percent", "x is infinite for 1 of 2 rows"),
        ((0.5, -math.inf), "seconds", "such as -inf of 'net1'"),
    ],
)
def test_values_that_contradict_their_unit_and_infinite_ones_are_refused_with_numbers(values, unit, told):
    with pytest.raises(InputError, match=told):
        units.check(accuracies(*values), unit, "x")


def test_rounding_contradicts_nothing_and_other_units_are_left_alone():
    assert units.check(accuracies(100.00001, 0.0), "percent", "x") == "percent"
    assert units.check(accuracies(np.float32(1.0000001), 0.0), "fraction", "x") == "fraction"
    assert units.check(accuracies(0.9, 0.2, 93.0, 30.0), "seconds", "x") == "seconds"


def test_the_recorded_unit_of_a_table_decides(tmp_path):
    values = accuracies(0.9, 0.87, 93.0, 10.0)
    frame = pd.DataFrame({"arch": values.index, "accuracy": values.to_numpy(), "other": 1.0})
    frame.to_csv(tmp_path / "foreign.csv", index=False)
    frame.to_parquet(tmp_path / "foreign.parquet")
    for name in ("foreign.csv", "foreign.parquet"):
        assert units.recorded(tmp_path / name) == {}
        with pytest.raises(InputError, match=rf"accuracy of .*{name} mixes fractions and percent"):
            evidence.load_truth(tmp_path / name, target="accuracy")
    path = tmp_path / "common.parquet"
    for unit in ("percent", "fraction"):
        tables.write(tables.Table(frame, {"accuracy": unit}, "made for a test", "nasbench201"), path)
        assert units.recorded(path) == {"accuracy": unit, "other": "unknown"}
        if unit == "percent":
            assert evidence.load_truth(path, target="accuracy").attrs["unit"] == "percent"
        else:
            with pytest.raises(InputError, match="recorded as fraction, but 2 of 4 values are not"):
                evidence.load_truth(path, target="accuracy")
    assert evidence.load_truth(path, target="other").attrs["unit"] == "fraction"
    assert units.recorded("nasbench201_digits")["accuracy"] == "percent"


def test_golden_published_tables_pass_and_mixed_copies_do_not(shared):
    """NAS-Bench-201 in percent, hundreds of its networks at chance, and NAS-Bench-101 in fractions from .0998 on."""
    folder = shared / "data" / "tables"
    percent = pd.read_parquet(folder / "nb201_accuracy.parquet").set_index("arch")
    names = [name for name in percent.select_dtypes("number") if "test" in name or "val" in name]
    assert len(names) > 10
    fractions = pd.read_parquet(folder / "nb101_all_test108.parquet")["test_acc_108_mean"]
    assert units.check(fractions, "", "x") == "fraction"
    assert sum((percent[name] <= 1).sum() for name in names) > 3000
    rng = np.random.default_rng(0)
    for values in (*(percent[name] for name in names), 100 * fractions):
        for some in (values, *(values.sample(size, random_state=size) for size in (10, 30, 100, 1000))):
            assert units.check(some, "", "x") == "percent"
        for share in (0.1, 0.5, 0.99):
            mixed = values.where(rng.random(len(values)) > share, values / 100)
            with pytest.raises(InputError, match="mixes fractions and percent"):
                units.check(mixed, "", "x")
