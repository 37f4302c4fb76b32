"""Which architectures: a sample, a file, a table, all of a space."""

import collections

import numpy as np
import pandas as pd
import pytest

import spaces
from launch import app, score
from launch.flags.architectures import Architectures, sample_architectures, sample_known
from tfnas import tables
from tfnas.errors import InputError

SPACE = spaces.get("nasbench201")
ARCHS = sample_architectures(SPACE, 12, seed=7)


def choose(**flags):
    return Architectures(**flags).choose(SPACE, 0)


def test_sampled_architectures_are_distinct_and_grow_from_the_front():
    assert len(set(ARCHS)) == 12
    assert sample_architectures(SPACE, 30, seed=7)[:12] == ARCHS
    assert sample_architectures(SPACE, 12, seed=8) != ARCHS
    assert {str(SPACE.parse(arch)) for arch in ARCHS} == set(ARCHS)
    assert choose(num_archs=5) == sample_architectures(SPACE, 5, seed=0)


def test_every_operation_is_drawn_equally_often():
    drawn = sample_architectures(SPACE, 2000, seed=0)
    counts = collections.Counter(part.split("~")[0] for arch in drawn for part in arch.replace("+", "|").split("|"))
    shares = np.array([count for op, count in counts.items() if op]) / (2000 * 6)
    assert len(shares) == 5
    # Five standard deviations of a binomial share of 1/5 among 12,000.
    assert np.abs(shares - 0.2).max() < 5 * np.sqrt(0.2 * 0.8 / 12000)


def test_a_sample_of_known_ones_grows_from_the_front():
    assert sorted(sample_known(ARCHS, 12, 0)) == sorted(ARCHS)
    assert sample_known(ARCHS, 12, 0)[:4] == sample_known(ARCHS, 4, 0) != ARCHS[:4]
    with pytest.raises(InputError, match="between 1 and 12"):
        sample_known(ARCHS, 13, 0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_of_architectures(tmp_path, monkeypatch, encoding):
    path = tmp_path / "archs.txt"
    path.write_text(f"# the best\n{ARCHS[0]}\n\n  {ARCHS[1]}  # second\n{ARCHS[0]}\n", encoding=encoding)
    assert choose(archs=str(path)) == ARCHS[:2]
    assert set(choose(archs=str(path), num_archs=1)) < set(ARCHS[:2])
    monkeypatch.setenv("HOME", str(tmp_path))
    assert choose(archs="~/archs.txt") == ARCHS[:2]


@pytest.mark.parametrize("suffix", [*tables.SUFFIXES, ".CSV", ".Tsv", ".PARQUET"])
@pytest.mark.parametrize("column", ["arch", "Architecture"])
@pytest.mark.parametrize(
    "form", [{"sep": ","}, {"sep": "\t"}, {"sep": ";", "decimal": ","}, {"sep": ";", "encoding": "utf-16"}]
)
def test_a_table_of_architectures(tmp_path, suffix, column, form):
    path = tmp_path / f"table{suffix}"
    frame = pd.DataFrame({column: ARCHS[:3], "accuracy": [1.5, 2.25, 3.0]})
    frame.to_parquet(path) if suffix.lower() == ".parquet" else frame.to_csv(path, index=False, **form)
    assert choose(archs=str(path)) == ARCHS[:3]
    assert tables.is_table(path)


@pytest.mark.parametrize(
    ("archs", "expected"), [([7, 8], "line 1: .*'7'"), ([None, ARCHS[0]], "1 of 2 rows of .* no architecture")]
)
def test_a_table_without_architectures(tmp_path, archs, expected):
    path = tmp_path / "table.csv"
    pd.DataFrame({"arch": archs, "accuracy": [1.5, 2.25]}).to_csv(path, index=False)
    with pytest.raises(InputError, match=expected):
        choose(archs=str(path))


def test_an_embedded_table():
    assert choose(archs="nasbench201_digits") == tables.load("nasbench201_digits").arch.tolist()
    assert tables.is_table("nasbench201_digits")
    assert not tables.is_table("archs.txt")


def test_all_architectures():
    assert len(set(choose(all=True))) == SPACE.size


def test_one_of_each_class():
    """The first by its index, as a plain loop over the space finds it; 6,466 as Dong and Yang 2020 count."""
    first = {}
    for arch in SPACE.enumerate():
        first.setdefault(SPACE.canonical(arch), str(arch))
    assert choose(all=True, unique=True) == list(first.values())
    assert len(first) == 6466


def test_one_of_each_class_of_a_file(tmp_path):
    same = "|none~0|+|none~0|{0}~1|+|nor_conv_3x3~0|none~1|none~2|"  # nothing reaches what the edge in braces leads to
    path = tmp_path / "archs.txt"
    path.write_text("\n".join([same.format("skip_connect"), ARCHS[0], same.format("nor_conv_1x1")]))
    assert choose(archs=str(path), unique=True) == [same.format("skip_connect"), ARCHS[0]]
    assert choose(archs=str(path), unique=True, num_archs=1) in ([same.format("skip_connect")], [ARCHS[0]])


def test_one_of_each_class_of_a_sample():
    with pytest.raises(InputError, match="--unique needs a list"):
        choose(num_archs=4, unique=True)


def test_all_of_a_space_without_end():
    space = spaces.get("mnas")
    with pytest.raises(InputError, match=rf"Received: mnas, which has {space.size}\. Give --num_archs") as error:
        Architectures(all=True).choose(space, 0)
    assert "\n" not in str(error.value)


def test_they_are_chosen_once(tmp_path):
    """The file may change while the run is at work."""
    path = tmp_path / "archs.txt"
    path.write_text(ARCHS[0])
    config = Architectures(archs=str(path))
    assert config.choose(SPACE, 0) == ARCHS[:1]
    path.write_text(ARCHS[1])
    assert config.choose(SPACE, 0) == ARCHS[:1]


@pytest.mark.parametrize("flags", [{}, {"num_archs": 2, "all": True}, {"archs": "f", "all": True}])
def test_no_way_or_two_ways_of_naming_them(flags):
    with pytest.raises(InputError, match="Which architectures"):
        choose(**flags)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"{ARCHS[0]}\n|oops~0|\n", "line 2"),
        ("# nothing\n\n", "has no architectures"),
        (b"\xff\xfe\x00", "not a text file"),
        (f"{ARCHS[0].replace('~0', '~1')}\n", "line 1"),
    ],
)
def test_a_bad_file_of_architectures_is_named_with_its_line(tmp_path, capsys, content, expected):
    path = tmp_path / "archs.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert score.main([f"--output={tmp_path / 'out'}", f"--archs={path}"]) == app.USAGE_ERROR
    error = capsys.readouterr().err
    assert str(path) in error
    assert expected in error
    assert not (tmp_path / "out").exists()
