"""All experiments that can be made here, by identifier."""

from __future__ import annotations

from launch.papers.base import Experiment
from launch.papers.facts import facts
from launch.papers.fear.experiments import EXPERIMENTS as FEAR
from launch.papers.gradsign.experiments import EXPERIMENTS as GRADSIGN
from launch.papers.lga.experiments import EXPERIMENTS as LGA
from launch.papers.nngp.experiments import EXPERIMENTS as NNGP
from launch.papers.predictor.experiments import EXPERIMENTS as PREDICTOR
from tfnas.errors import InputError, unknown

EXPERIMENTS: dict[str, Experiment] = {entry.id: entry for entry in (*NNGP, *GRADSIGN, *LGA, *PREDICTOR, *FEAR)}


def get(name: str) -> Experiment:
    """An experiment by identifier.

    Raises:
        InputError: unknown, or a table or figure that cannot be made here yet.
    """
    if name not in facts():
        raise unknown("experiment (see --list)", name, facts())
    if name not in EXPERIMENTS:
        raise InputError(
            f"Experiment {name} ({facts()[name]['title']}) is not available yet. Available: {', '.join(EXPERIMENTS)}"
        )
    return EXPERIMENTS[name]


def describe() -> list[str]:
    """A line for each table and figure of the papers: identifier, whether it is available, kind, paper, title."""
    return [
        f"{name:<19} {'yes' if name in EXPERIMENTS else '-':<4} {entry['kind']:<7} {entry['paper']}: {entry['title']}"
        for name, entry in facts().items()
    ]
