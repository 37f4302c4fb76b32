"""Every figure is held to an answer known beforehand."""

import pathlib
import re

from launch.papers.facts import facts
from launch.papers.nngp.experiments import EXPERIMENTS

HERE = pathlib.Path(__file__).parent


def test_every_figure_has_a_known_answer():
    sources = [path.read_text() for path in HERE.glob("test_*.py")]
    covered = {f"nngp_{name}" for source in sources for name in re.findall(r'^@known_answer\("(\w+)"\)', source, re.M)}
    made = {experiment.id for experiment in EXPERIMENTS}
    assert covered == made
    assert {name for name in facts() if name.startswith("nngp_")} == made
