"""Records and accuracies meet network by network."""

import pandas as pd
import pytest

import spaces
from launch.papers.joining import join
from tfnas.errors import InputError

SPACE = spaces.get("nasbench101")
# The same cell with its two middle vertices exchanged.
CELL, TWIN = "conv3x3~0|conv1x1~0|maxpool3x3~12|output~3", "conv1x1~0|conv3x3~0|maxpool3x3~12|output~3"
PLAIN, OTHER = "conv3x3~0|output~1", "conv1x1~0|output~1"


@pytest.mark.parametrize("with_hash", [True, False])
def test_isomorphic_cells_meet(with_hash):
    truth = pd.DataFrame({"cifar10": [90.0, 91.0, 92.0]}, index=[PLAIN, OTHER, CELL])
    if with_hash:
        truth["hash"] = [SPACE.canonical(SPACE.parse(arch)) for arch in truth.index]
    records = pd.DataFrame({"arch": [TWIN, PLAIN, "output~0"], "score": [0.3, 0.1, 0.2]})
    found, known, notes = join(records, truth, SPACE, "here")
    assert found.to_dict("list") == {"arch": [CELL, PLAIN], "score": [0.3, 0.1]}
    assert known["cifar10"].to_dict() == {PLAIN: 90, CELL: 92}
    assert notes[0].startswith("1 networks met the table by the hash")


def test_accuracies_keep_their_order_and_nothing_is_told_where_strings_meet():
    truth = pd.DataFrame({"cifar10": [1.0, 2.0, 3.0]}, index=[OTHER, CELL, PLAIN])
    found, known, notes = join(pd.DataFrame({"arch": [PLAIN, OTHER, OTHER]}), truth, SPACE, "here")
    assert known.index.tolist() == [OTHER, PLAIN]
    assert found["arch"].tolist() == [PLAIN, OTHER, OTHER]
    assert notes == ()


def test_networks_of_other_benchmarks_meet_by_their_strings_alone():
    """NAS-Bench-201 trained every string, also those of one class."""
    space = spaces.get("nasbench201")
    first, *others = sorted(map(str, space.neighbors(next(space.enumerate()))))
    twin = next(arch for arch in others if space.canonical(space.parse(arch)) == space.canonical(space.parse(first)))
    with pytest.raises(InputError, match="No network of here"):
        join(pd.DataFrame({"arch": [twin]}), pd.DataFrame({"cifar10": [1.0]}, index=[first]), space, "here")


def test_a_score_counts_for_all_networks_of_its_class_where_that_is_asked_for():
    space = spaces.get("nasbench201")
    known: dict[str, list[str]] = {}
    for arch in map(str, space.enumerate()):
        known.setdefault(space.canonical(space.parse(arch)), []).append(arch)
    first, second = [archs for archs in known.values() if len(archs) == 2][:2]
    truth = pd.DataFrame({"cifar10": [1.0, 2.0, 3.0]}, index=[first[1], first[0], second[0]])
    records = pd.DataFrame({"arch": [first[0]], "proxy": ["p"], "score": [5.0]})
    found, known, notes = join(records, truth, space, "here", isomorphic=True)
    assert found.set_index("arch")["score"].to_dict() == {first[0]: 5.0, first[1]: 5.0}
    assert found["group"].nunique() == 1
    assert known.index.tolist() == [first[1], first[0]]
    assert "stand for 2" in notes[0]
