"""What the papers print, and that experiments name things that exist."""

import functools
import json
from collections.abc import Mapping

import pytest

import proxies
import spaces
from launch import reproduce
from launch.papers import registry
from launch.papers.facts import PAPERS, facts
from launch.papers.ranking import expected
from launch.papers.registry import EXPERIMENTS
from launch.papers.scored import Scored
from tfnas import data
from tfnas.errors import InputError
from tfnas.networks import weights

SCORED = [name for name, experiment in EXPERIMENTS.items() if isinstance(experiment.jobs, Scored)]


def numbers(value):
    """All numbers of nested facts."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [] if value is None or isinstance(value, str) else [float(value)]


# Numbers of the paper that the specification leaves out: what searches of others cost, in seconds.
COSTS = {"rl", "rea", "bohb", "rsps", "darts", "gdas"}


def test_golden_facts_are_those_of_the_specification(shared):
    specified = {entry["id"]: entry for entry in json.loads((shared / "specs" / "experiments.json").read_text())}
    assert set(facts()) == set(specified)
    for name, entry in facts().items():
        assert entry["kind"] == specified[name]["kind"]
        expected = entry["expected"]
        if name == "lga_table2":
            assert set(expected["cost"]) - set(specified[name]["expected"]["cost"]) == COSTS
            expected = expected | {"cost": {key: of for key, of in expected["cost"].items() if key not in COSTS}}
        assert sorted(numbers(expected)) == sorted(numbers(specified[name]["expected"])), name
        assert entry["title"] != specified[name]["description"]


def test_list_has_a_line_for_every_experiment_and_marks_the_available(capsys):
    assert reproduce.main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(facts())
    assert {line.split()[0] for line in lines if line.split()[1] == "yes"} == set(EXPERIMENTS)


def test_what_is_unknown_or_not_made_yet_is_told():
    with pytest.raises(InputError, match="'gs_table9'"):
        registry.get("gs_table9")
    missing = next(name for name in facts() if name not in EXPERIMENTS)
    with pytest.raises(InputError, match=rf"{missing} .* is not available yet\. Available: nngp_fig1, "):
        registry.get(missing)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_name_things_that_exist(name):
    experiment = registry.get(name)
    assert experiment.id == name
    assert name in facts()
    assert set(experiment.columns) <= set(data.names())
    assert experiment.small_size < experiment.paper_size <= spaces.get(experiment.space).size
    told = experiment.describe()
    assert json.loads(json.dumps(told))["id"] == name
    assert "make" not in told


@pytest.mark.parametrize("name", SCORED)
def test_scored_experiments_name_proxies_and_schemes_that_exist(name):
    experiment = EXPERIMENTS[name]
    assert set(experiment.jobs.proxies) <= set(proxies.names())
    assert set(experiment.jobs.inits) <= set(weights.SCHEMES)
    assert experiment.jobs.flavour in spaces.get(experiment.space).flavours


def test_papers_are_folders_with_facts_of_their_own():
    prefixes = [name.split("_")[0] for name in facts()]
    assert list(dict.fromkeys(prefixes)) == ["nngp", "gs", "lga", "np", "fear"]
    assert len(PAPERS) == 5


def test_the_paper_has_a_number_for_every_row_of_its_tables():
    for table in (EXPERIMENTS["gs_table5_1"], EXPERIMENTS["gs_table5_2"]):
        for dataset in table.columns:
            assert all(-1 < expected(table, dataset, proxy) < 1 for proxy in table.jobs.proxies)
    nats = functools.partial(expected, EXPERIMENTS["gs_tableA_2"], "nats")
    assert [nats(dataset, "gradsign") for dataset in EXPERIMENTS["gs_tableA_2"].columns] == [0.76, 0.792, 0.784]
    assert expected(table, "digits", "gradsign") != expected(table, "digits", "gradsign")
