"""The examples that --help of every launcher shows."""

import importlib
import re

import pytest

from launch import app
from tests.docs.documents import commands
from tests.docs.session import LAUNCHERS


def examples(name):
    """Commands of a launcher's docstring; what continues one is indented deeper."""
    text = importlib.import_module(f"launch.{name}").__doc__
    lines = re.sub(r"\n {8,}", " ", text).splitlines()
    return commands("\n".join(line for line in lines if line.startswith("    python -m ")))


@pytest.mark.parametrize("name", LAUNCHERS)
def test_examples_have_flags_that_there_are(name):
    launcher = importlib.import_module(f"launch.{name}")
    found = examples(name)
    assert found
    for command in found:
        assert command.words[:3] == ("python", "-m", f"launch.{name}")
        app.parse(launcher.Config, command.words[3:])
