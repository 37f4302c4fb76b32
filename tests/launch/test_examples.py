"""What launchers print for people to type: the examples of --help and the step after a run. All of it runs."""

import importlib
import shlex

import pytest

from launch import app, correlate, nngp, score
from tests.docs import reductions
from tests.docs.conftest import session  # noqa: F401
from tests.docs.documents import commands
from tests.docs.session import LAUNCHERS, Session

EMBEDDED = ("digits", "synthetic")


def examples(name):
    """Commands that --help shows; they are indented, and what continues one more so."""
    text = app.help_text(
        importlib.import_module(f"launch.{name}").Config, importlib.import_module(f"launch.{name}").__doc__
    )
    text = text.partition("Examples:\n")[2].partition("\n\n")[0]
    return commands("\n".join(line[4:] for line in text.splitlines()))


EVERY = [(name, command) for name in LAUNCHERS for command in examples(name)]


def test_every_launcher_has_examples_and_nothing_else_stands_among_them():
    for name in LAUNCHERS:
        assert examples(name)
        assert all(command.words[:3] == ("python", "-m", f"launch.{name}") for command in examples(name))


@pytest.mark.parametrize("name", LAUNCHERS)
def test_examples_run_one_after_the_other(name, session: Session):  # noqa: F811
    for before in ("score",) if name == "correlate" else ():
        for command in examples(before):
            session.run(command)
    for command in examples(name):
        session.run(command)


@pytest.mark.parametrize(("name", "command"), EVERY, ids=[f"{name}: {command}"[:60] for name, command in EVERY])
def test_what_needs_no_data_of_others_passes_its_checks_at_full_size(name, command, session: Session):  # noqa: F811
    config = app.parse(importlib.import_module(f"launch.{name}").Config, command.words[3:])
    if (
        not reductions.reason(reductions.PARSED, str(command))
        and getattr(config, "dataset", "digits") in EMBEDDED
        and not getattr(config, "data_dir", "")
        and name not in ("prepare", "reproduce", "predict")  # which look into files
    ):
        config.check()


SMALL = ["--width=2", "--depth=1", "--archs=nasbench201_digits", "--num_archs=4"]
NEXT = {
    score: ["--batch_size=4", "--proxies=synflow"],
    nngp: ["--n_train=10", "--n_val=10", "--bn_batch=10"],
}


def printed(capsys):
    return capsys.readouterr().out.splitlines()[-1].removeprefix("next: ")


@pytest.mark.parametrize("launcher", NEXT)
def test_the_next_step_runs_as_it_is_printed(launcher, tmp_path, capsys):
    folder = tmp_path / "a folder's"
    assert launcher.main([*SMALL, *NEXT[launcher], f"--output={folder}"]) == 0
    words = shlex.split(printed(capsys))
    assert words[:3] == ["python", "-m", "launch.correlate"]
    assert "--table=nasbench201_digits" in words
    assert correlate.main(words[3:]) == 0
    assert (folder / "evidence" / "correlations.csv").exists()


@pytest.mark.parametrize("lacks", ["architecture", "data set", "accuracies"])
def test_without_accuracies_the_next_step_says_how_to_get_them(lacks, tmp_path, capsys):
    arch = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    (tmp_path / "archs.csv").write_text(f"arch\n{arch}\n")
    archs = {"accuracies": [f"--archs={tmp_path / 'archs.csv'}"], "architecture": [f"--archs={tmp_path / 'archs.csv'}"]}
    flags = archs.get(lacks, ["--archs=nasbench201_digits", "--num_archs=1"])
    flags += ["--dataset=synthetic"] if lacks == "data set" else ["--dataset=digits"]
    # A table that gave the architectures is looked at whatever the data set: of the embedded one, its copy would be.
    launcher = nngp if lacks == "data set" else score
    more = NEXT[launcher]
    assert launcher.main([*flags, *more, "--width=2", "--depth=1", f"--output={tmp_path / 'out'}"]) == 0
    text = printed(capsys)
    for name in ("launch.correlate --help", "launch.prepare", "launch.train --table_out"):
        assert name in text
    assert "--table=" not in text
