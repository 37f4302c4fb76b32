"""Which spaces there are, and which of them an architecture or a table belongs to."""

import numpy as np
import pandas as pd
import pytest

import spaces
from spaces import registry
from spaces.nasbench201.space import NASBench201
from tfnas import tables
from tfnas.errors import InputError

ONE, OTHER = spaces.get("nasbench101"), spaces.get("nasbench201")
ALL = ", ".join(spaces.names())


def draw(space, count=3):
    return [str(arch) for arch in space.sample_distinct(np.random.default_rng(0), count)]


@pytest.fixture
def twin(monkeypatch):
    """A space with the strings of another."""

    class Twin(NASBench201):
        name = "twin"

    monkeypatch.setattr(registry, "_SPACES", dict(registry._SPACES))
    return spaces.register(Twin())


def test_unknown_name_lists_all():
    with pytest.raises(InputError, match=rf"Received: 'nasbench'\. Allowed: {ALL}$"):
        spaces.get("nasbench")


def test_names_are_taken_once():
    with pytest.raises(ValueError, match="'nasbench201' is registered already, by NASBench201"):
        spaces.register(OTHER)


@pytest.mark.parametrize("name", spaces.names())
def test_the_space_of_architectures(name):
    assert spaces.of_archs(draw(spaces.get(name))).name == name


def test_architectures_of_no_space():
    for wrong in ([""], ["resnet50", *draw(OTHER)], []):
        with pytest.raises(InputError) as error:
            spaces.of_archs(wrong)
        text = str(error.value)
        assert "\n" not in text
        assert (f"Received: {wrong[0]!r}. Spaces: {ALL}" if wrong else f"Received: 0 that fit {ALL}") in text


def test_architectures_of_several_spaces(twin):
    archs = draw(OTHER)
    with pytest.raises(InputError, match=r"Received: 3 that fit nasbench201, twin\. Name one of these"):
        spaces.of_archs(archs)
    assert spaces.of_archs(draw(ONE)) == ONE
    with pytest.raises(InputError, match=r"No search space that has the 3 before it has this .*'resnet50'"):
        spaces.of_archs([*archs, "resnet50"])


def test_a_table_knows_its_space(tmp_path, twin):
    frame = pd.DataFrame({"arch": draw(OTHER)})
    for name in ("nasbench201", "twin"):
        tables.write(tables.Table(frame, {}, "by hand", name), tmp_path / f"{name}.parquet")
        assert spaces.of_table(tmp_path / f"{name}.parquet", frame["arch"]).name == name
    assert spaces.of_table("nasbench201_digits", frame["arch"]).name == "nasbench201"


@pytest.mark.parametrize("kind", ["csv", "parquet", "unnamed"])
def test_a_table_that_names_no_space_goes_by_its_strings(tmp_path, kind):
    frame = pd.DataFrame({"arch": draw(ONE)})
    path = tmp_path / ("table.csv" if kind == "csv" else "table.parquet")
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "parquet":
        frame.to_parquet(path)
    else:
        tables.write(tables.Table(frame, {}, "by hand", ""), path)
    assert spaces.of_table(path, frame["arch"]) == ONE
    with pytest.raises(InputError, match="'resnet50'"):
        spaces.of_table(path, ["resnet50"])


def test_a_table_that_names_an_unknown_space(tmp_path):
    path = tmp_path / "table.parquet"
    tables.write(tables.Table(pd.DataFrame({"arch": draw(ONE)}), {}, "by hand", "darts"), path)
    with pytest.raises(InputError, match=rf"named by .*table\.parquet\. Received: 'darts'\. Allowed: {ALL}"):
        spaces.of_table(path, draw(ONE))
    with pytest.raises(InputError, match="No such table"):
        spaces.of_table(tmp_path / "none.parquet", draw(ONE))
