"""Generated parts of the documentation are as the code and the results have them."""

import re

import proxies
from docs import generate
from launch.papers.facts import facts
from launch.papers.registry import EXPERIMENTS
from tests.conftest import ROOT


def test_nothing_generated_is_stale():
    stale = [str(path.relative_to(ROOT)) for path, text in generate.pages().items() if path.read_text() != text]
    assert not stale, "run `make docs`"


def test_every_proxy_has_a_row():
    rows = re.findall(r"^\| `(\w+)` \|", generate.proxy_table(), re.MULTILINE)
    every = {name for subject in set(proxies.base.CONSUMES.values()) for name in proxies.names(subject)}
    assert set(rows) == every | set(proxies.AGGREGATES)
    assert len(rows) == len(set(rows))


def test_every_experiment_has_a_row_and_the_readme_counts_them():
    rows = generate.experiment_table().splitlines()[2:]
    assert len(rows) == len(facts())
    assert sum("not yet" not in row for row in rows) == len(EXPERIMENTS)
    # The name links to a page where there is one.
    size = {re.match(r"\W*(\w+)", row).group(1): row.split(" | ")[2] for row in rows}
    assert (size["np_fig4"], size["fear_fig6"], size["nngp_fig8"]) == ("all of the table", "24 / 1,000", "24 / 423,624")
    readme = (ROOT / "README.md").read_text()
    assert f"[{len(EXPERIMENTS)} of {len(facts())}](docs/experiments.md)" in readme
    assert f"[{len(proxies.names())} of one network](docs/proxies.md)" in readme


def test_numbers_of_results_are_short_and_infinite_ones_are_told():
    texts = {
        "": "",
        "nan": "",
        "inf": "inf",
        "-inf": "-inf",
        "0.25": "0.250",
        "12345.0": "12,345",
        "0.0123456": "0.01235",
    }
    assert {text: generate._number(text) for text in texts} == texts


def test_an_interval_has_the_decimals_of_its_largest_number():
    row = {"ours": "0.0524", "low": "-0.21249", "high": "0.29512", "paper": "93.31", "paper_std": "0.47"}
    assert generate._bracketed(row) == "0.052 [-0.212, 0.295]"
    assert generate._bracketed(row | {"high": "12.5"}) == "0.05 [-0.21, 12.50]"
    assert generate._bracketed(row | {"low": "", "high": ""}) == generate._number("0.0524")
    assert generate._theirs(row) == "93.31 [92.84, 93.78]"
    assert generate._theirs(row | {"paper_std": ""}) == "93.31"


def test_a_page_keeps_what_is_written_by_hand(tmp_path):
    page = tmp_path / "README.md"
    assert generate._kept(page) == []
    page.write_text(f"# id: old title\n\nOne.\n\nTwo.\n\n<!-- {generate.NOTE} -->\n\nGenerated.\n")
    assert generate._kept(page) == ["One.\n\nTwo."]
    page.write_text(f"# id: old title\n\n<!-- {generate.NOTE} -->\n\nGenerated.\n")
    assert generate._kept(page) == []


def test_every_result_says_what_it_shows():
    assert not [str(folder) for folder in generate.results() if not generate._kept(folder / "README.md")]


def test_every_folder_of_results_has_a_page_that_the_index_names():
    index = (ROOT / "results" / "README.md").read_text()
    for folder in (ROOT / "results").iterdir():
        if folder.is_dir():
            assert (folder / "README.md").exists(), folder
            assert f"({folder.name}/README.md)" in index
