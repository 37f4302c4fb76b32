"""Tables that predictors learn from."""

import numpy as np
import pandas as pd
import pytest

from launch.jobs import knowledge
from tfnas.errors import InputError


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: pd.concat([f, f.iloc[:1].assign(val=1.0)]), "several values of val"),
        (lambda f: f.assign(val=f.val.where(f.index > 5, f.val / 100)), "mixes fractions and percent"),
        (lambda f: f.assign(val=f.val.where(f.index > 5, np.inf)), "infinite"),
        (lambda f: f.assign(val=f.val.where(f.index != 5, 170.0)), "Received: 170"),
        (lambda f: f.assign(val=-f.val), "Received: -"),
        (lambda f: f.assign(arch=f.arch + "x"), "No search space"),
        (lambda f: f.assign(val=np.nan), "no accuracies"),
    ],
)
def test_bad_tables(table, tmp_path, change, message):
    change(pd.read_csv(table)).to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(InputError, match=message) as error:
        knowledge.read_table(tmp_path / "bad.csv", "val", "", "")
    assert "\n" not in str(error.value)


def test_percent_and_fractions_are_the_same(table, tmp_path):
    frame = pd.read_csv(table)
    frame.assign(val=frame.val / 100, test=frame.test / 100).to_csv(tmp_path / "f.csv", index=False)
    one, other = (knowledge.read_table(path, "val", "test", "") for path in (table, tmp_path / "f.csv"))
    np.testing.assert_allclose(one.accuracies, other.accuracies, rtol=1e-12)
    np.testing.assert_allclose(one.tests, other.tests, rtol=1e-12)
    assert one.archs == other.archs


def test_rows_without_an_accuracy_are_left_out(table, tmp_path):
    frame = pd.read_csv(table)
    frame.assign(val=frame.val.where(frame.index >= 3)).to_csv(tmp_path / "f.csv", index=False)
    assert len(knowledge.read_table(tmp_path / "f.csv", "val", "", "").archs) == 57
