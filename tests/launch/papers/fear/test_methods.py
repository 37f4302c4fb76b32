"""From records to methods: names, what is left out, and what is refused."""

import json

import pandas as pd
import pytest

from launch.papers.fear.methods import gather, named_records
from tests.launch.papers.fear import cases
from tfnas.errors import InputError


@pytest.fixture
def truth():
    return cases.truth_of()


def gathered(records, truth, *needed):
    return gather(cases.inputs_of("fear_table1", records, truth), "cifar10", *needed)


def changed(records, proxy, **values):
    """Records of one proxy with other values, in the place of its own."""
    of = records["proxy"] == proxy
    return pd.concat([records[~of], records[of].assign(**values)], ignore_index=True)


def with_recipe(options, **values):
    found = json.loads(options)
    return json.dumps(found | {"training": found["training"] | values}, sort_keys=True)


def test_scores_and_seconds_stand_under_the_names_of_methods(truth):
    records = cases.all_records(truth)
    found = gathered(records, truth, "fear", "time_to_threshold", "shortreg")
    names = [f"shortreg, {'1 epoch' if n == 1 else f'{n} epochs'}, batch {b}" for n, b in sorted(cases.LENGTHS)]
    assert found.short == names
    assert set(found.scores) == {*names, "fear", "time_to_threshold", "snip", "jacob_cov", "params"} | {
        "synflow",
        "synflow_bn",
    }
    for length, batch in cases.LENGTHS:
        mine = records[(records["proxy"] == f"shortreg_after{length}") & (records["batch_size"] == batch)]
        name = f"shortreg, {length} epoch{'s' if length > 1 else ''}, batch {batch}"
        assert found.lengths[name] == (length, batch)
        for column, value in (("scores", "score"), ("seconds", "seconds")):
            assert dict(getattr(found, column)[name]) == dict(zip(mine["arch"], mine[value], strict=True))
    plain, kept = (records[records["options"].str.contains(text)] for text in ('kept_bn":\\[\\]', 'kept_bn":\\["stem'))
    assert dict(found.scores["synflow"]) == dict(zip(plain["arch"], plain["score"], strict=True))
    assert dict(found.scores["synflow_bn"]) == dict(zip(kept["arch"], kept["score"], strict=True))


def test_networks_that_never_reach_the_threshold_are_counted_and_left_out(truth):
    found = gathered(cases.all_records(truth, never=5), truth, "fear")
    assert len(found.truth) == cases.N
    left = found.reached()
    assert list(left.truth.index) == list(truth.index[:-5])
    assert left.notes[-1].startswith(f"5 of {cases.N} networks have no score of FEAR")
    assert gathered(cases.all_records(truth, never=0), truth).reached().notes == found.notes


def test_settings_are_told(truth):
    records = cases.all_records(truth)
    notes = gathered(records, truth, "fear").notes
    assert notes[0] == "networks of width 16, 5 cells a stage (tiny)"
    told = "FEAR: threshold=0.6, cells=4; stage 1: epochs=200, batch_size=256, train_split=train; stage 2: epochs=5;"
    assert notes[1].startswith(told)
    assert notes[2].startswith("durations are seconds of wall clock on here, without the tracing of each network;")


def test_repeats_are_averaged(truth):
    records = cases.all_records(truth)
    twice = pd.concat([records, records.assign(repeat=1, score=records["score"] + 1, seconds=records["seconds"] * 3)])
    one, both = (gathered(frame, truth, "fear") for frame in (records, twice))
    pd.testing.assert_frame_equal(both.scores, one.scores + 0.5)
    pd.testing.assert_frame_equal(both.seconds, one.seconds * 2)


def test_a_look_into_a_longer_training_is_no_method(truth):
    records = cases.all_records(truth)
    of = records["proxy"].eq("shortreg_after4") & records["batch_size"].eq(256)
    records.loc[of, "options"] = records.loc[of, "options"].map(lambda text: with_recipe(text, epochs=12))
    found, lengths = named_records(records)
    assert "shortreg, 4 epochs, batch 256" not in lengths
    assert len(lengths) == len(cases.LENGTHS) - 1
    assert len(found) == len(records) - cases.N


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda frame: frame[~frame["proxy"].str.startswith("shortreg")], "fear_table1 needs records of shortreg on"),
        (lambda frame: frame[frame["proxy"] != "fear"], "as python -m launch.score --proxies=fear writes them"),
        (lambda frame: changed(frame, "fear", depth=1), "depth is 1, 5"),
        (
            lambda frame: changed(
                frame, "fear", options=with_recipe(frame[frame["proxy"] == "fear"]["options"].iloc[0], crop=4)
            ),
            "not trained alike: crop is",
        ),
        (lambda frame: changed(frame, "fear", device="there"), "are of different devices: here, there"),
        (
            lambda frame: pd.concat([frame, changed(frame, "fear", options='{"training": {}}')], ignore_index=True),
            "Scores of fear differ in options and cannot be averaged",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(truth, change, told):
    with pytest.raises(InputError, match=told.replace(".", r"\.")):
        gathered(change(cases.all_records(truth)), truth, "fear", "shortreg")


def test_where_none_reaches_the_threshold_there_is_nothing_to_compare(truth):
    with pytest.raises(InputError, match=f"None of {cases.N} networks has reached the threshold of FEAR on cifar10"):
        gathered(cases.all_records(truth, never=cases.N), truth, "fear").reached()


def test_what_failed_has_no_duration(truth):
    records = cases.all_records(truth)
    lost = records["arch"].eq(cases.ARCHS[0]) & records["proxy"].eq("shortreg_after1") & records["batch_size"].eq(256)
    records.loc[lost, ["score", "status", "seconds"]] = [float("nan"), "oom", 0.0]
    found = gathered(records, truth, "fear")
    assert found.seconds["shortreg, 1 epoch, batch 256"].isna().sum() == 1
    assert "networks without a score: shortreg, 1 epoch, batch 256 1" in found.notes
