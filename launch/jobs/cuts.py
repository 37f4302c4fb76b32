"""Closer looks at the same scores: among the best, at fixed size, between scores, seeds, names and settings."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import spaces
from launch.jobs.evidence import Evidence
from tfnas.errors import InputError, unknown

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from tfnas.evidence.report import Folding

# What tables call a single training beside the mean of several.
ONE_RUN = "_one_random_seed"


@dataclasses.dataclass(frozen=True)
class Case:
    """What cuts are made of.

    Attributes:
        found: scores beside the truth.
        scores: long frame with the repeats of each network, before any was taken for isomorphic ones.
        table: of `evidence.load_truth`.
        run: column of it with one training run each; "" where there is none.
        others: other scores of the same networks, by where they are from.
        other_target: column of the table that these are held against.
        resamples, seed: of the intervals.
    """

    found: Evidence
    scores: pd.DataFrame
    table: pd.DataFrame
    run: str
    resamples: int
    seed: int
    others: Mapping[str, pd.DataFrame] = dataclasses.field(default_factory=dict)
    other_target: str = ""

    @property
    def truth(self) -> pd.Series:
        return self.table[self.found.target].astype(float)

    @functools.cached_property
    def classes(self) -> pd.Series | None:
        """Class of isomorphic networks by architecture; None where the space is unknown or has no such networks."""
        import pandas as pd

        from launch.jobs import classes

        if "space" not in self.scores or self.scores["space"].iloc[0] not in spaces.names():
            return None
        archs = self.scores["arch"].unique().tolist()
        try:
            return pd.Series(classes.of(spaces.get(self.scores["space"].iloc[0]), archs), index=archs)
        except InputError:
            return None

    @property
    def options(self) -> dict[str, int]:
        return {"resamples": self.resamples, "seed": self.seed}


@dataclasses.dataclass(frozen=True)
class Cut:
    """One of them.

    Attributes:
        text: what it shows.
        why_not: why it cannot be made of a case; "" where it can.
        make: its rows.
        draw: its picture.
    """

    text: str
    why_not: Callable[[Case], str]
    make: Callable[[Case], pd.DataFrame]
    draw: Callable[[Case, pd.DataFrame], Figure]


def run_column(table: pd.DataFrame, given: str) -> str:
    """The column of single trainings: the one that is given, or that is called as the target is.

    Raises:
        InputError: the one that is given is no column of numbers.
    """
    numbers = list(table.select_dtypes("number"))
    if given and given not in numbers:
        raise unknown("column of numbers (--run_column)", given, numbers)
    guess = f"{table.attrs['target']}{ONE_RUN}"
    return given or (guess if guess in numbers else "")


def _few(case: Case) -> str:
    from tfnas.evidence import bands

    return "" if len(case.found.joined) >= bands.LEAST else f"fewer than {bands.LEAST} networks"


def _bands(case: Case) -> pd.DataFrame:
    from tfnas.evidence import bands

    found = case.found
    return bands.by_band(found.joined, groups=found.groups, whole=found.summary, **case.options)


def _draw_bands(case: Case, frame: pd.DataFrame) -> Figure:
    from tfnas.evidence import bands

    return bands.draw(frame, baselines=case.found.baselines, target=case.found.target)


def _without_size(case: Case) -> str:
    if not case.found.baselines:
        return "no parameters or FLOPs (--size_column)"
    left = case.found.joined.columns.drop(["truth", *case.found.baselines])
    return _few(case) if len(left) else "no score but sizes"


def _size(case: Case) -> pd.DataFrame:
    from tfnas.evidence import partial

    return partial.given_sizes(case.found.joined, case.found.baselines, groups=case.found.groups, **case.options)


def _draw_size(case: Case, frame: pd.DataFrame) -> Figure:
    from tfnas.evidence import partial

    return partial.draw(frame, sizes=case.found.baselines)


def _one_score(case: Case) -> str:
    return _few(case) if len(case.found.joined.columns) > 2 else "one score alone"


def _similarity(case: Case) -> pd.DataFrame:
    from tfnas.evidence import similarity

    return similarity.between_scores(case.found.joined).reset_index()


def _draw_similarity(case: Case, frame: pd.DataFrame) -> Figure:
    from tfnas.evidence import similarity

    return similarity.draw(frame.set_index("proxy"))


def _one_seed(case: Case) -> str:
    from tfnas.evidence import reliability

    columns = [column for column in reliability.REPEATS if column in case.scores]
    several = columns and case.scores.groupby(["proxy", "arch"])[columns[0]].size().max() > 1
    return "" if several else "no network has several seeds or repeats"


def _seeds(case: Case) -> pd.DataFrame:
    from tfnas.evidence import reliability

    scores = case.scores[~case.scores["proxy"].isin(case.found.baselines)]
    return reliability.between_seeds(scores, case.truth, **case.options)


def _draw_seeds(case: Case, frame: pd.DataFrame) -> Figure:
    from tfnas.evidence import reliability

    return reliability.draw(frame, run=of_one_run(case), target=case.found.target)


def of_one_run(case: Case) -> float:
    """Spearman of single trainings with the target, over the networks with scores; NaN where there are none."""
    from tfnas.evidence import statistics

    if not case.run:
        return math.nan
    joined = case.found.joined
    return statistics.spearman(case.table[case.run].astype(float).reindex(joined.index), joined["truth"])


def _one_string(case: Case) -> str:
    groups = case.classes
    if groups is None:
        return "the space of the networks is unknown"
    return "" if groups.value_counts().ge(2).sum() >= 2 else "no two classes of which several strings are scored"


def _classes(case: Case) -> pd.DataFrame:
    from tfnas.evidence import nested

    return nested.within_classes(case.scores, case.classes)


def _draw_classes(_: Case, frame: pd.DataFrame) -> Figure:
    from tfnas.evidence import nested

    return nested.draw(frame)


def _nothing_else(case: Case) -> str:
    if not case.others:
        return "no other scores (--against)"
    mine = set(case.scores["proxy"])
    apart = [place for place, others in case.others.items() if mine.isdisjoint(others["proxy"])]
    return f"none of these scores in {', '.join(apart)}" if apart else ""


def _against(case: Case) -> pd.DataFrame:
    import pandas as pd

    from tfnas.evidence import against

    other = case.table[case.other_target or case.found.target].astype(float)
    parts = []
    for label, others in case.others.items():
        found = against.compare(case.scores, case.truth, others, other, **case.options)
        found.insert(0, "against", label)
        parts.append(found)
    return pd.concat(parts, ignore_index=True)


def _draw_against(_: Case, frame: pd.DataFrame) -> Figure:
    from tfnas.evidence import against

    return against.draw(frame)


CUTS: Mapping[str, Cut] = {
    "bands": Cut("rank correlation among the best networks", _few, _bands, _draw_bands),
    "size": Cut("rank correlation at fixed size", _without_size, _size, _draw_size),
    "similarity": Cut("correlations between scores, clustered", _one_score, _similarity, _draw_similarity),
    "seeds": Cut("how much of a score is luck", _one_seed, _seeds, _draw_seeds),
    "classes": Cut("what isomorphic networks share", _one_string, _classes, _draw_classes),
    "against": Cut("other scores of the same networks", _nothing_else, _against, _draw_against),
}
ALL = "all"


def asked(names: Sequence[str]) -> list[str]:
    """Names of cuts.

    Raises:
        InputError: an unknown one.
    """
    for name in names:
        if name not in (ALL, *CUTS):
            raise unknown("cut (--cuts)", name, (ALL, *CUTS))
    return [name for name in CUTS if name in names or ALL in names]


def write(case: Case, names: Sequence[str], folder: str) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Writes NAME.csv and NAME.png of each cut.

    Args:
        case: what they are made of.
        names: as asked for; of `ALL`, those that cannot be made are left out.
        folder: where.

    Returns:
        (rows by name, a line for each that was left out).

    Raises:
        InputError: one that is named cannot be made.
    """
    from etils import epath

    from tfnas import files
    from tfnas.evidence import plots

    made, lines = {}, []
    for name in asked(names):
        if why := CUTS[name].why_not(case):
            if name in names:
                raise InputError(f"--cuts={name} cannot be made: {why}")
            lines.append(f"no {name} ({CUTS[name].text}): {why}")
            continue
        made[name] = CUTS[name].make(case)
        content = made[name].to_csv(index=False, float_format="%.6g").encode()
        files.write_atomic(epath.Path(folder) / f"{name}.csv", content)
        plots.save(CUTS[name].draw(case, made[name]), epath.Path(folder) / f"{name}.png")
    return made, lines


def table(made: Mapping[str, pd.DataFrame], order: Sequence[str], baselines: Sequence[str]) -> Folding | None:
    """One table of the cuts for the terminal, all of it Spearman's rho.

    Args:
        made: of `write`.
        order: proxies from top to bottom.
        baselines: those that are sizes.
    """
    from tfnas.evidence import report

    columns: list[tuple[str, Mapping[str, float], int]] = []
    if "size" in made:
        columns.append(("at fixed size", made["size"].set_index("proxy")["partial_spearman"], 0))
    if "bands" in made:
        for percent, group in made["bands"].groupby("percent", sort=False):
            if percent < 100:
                # Where width is short, the best say most.
                columns.append((f"best {percent:g}%", group.set_index("proxy")["spearman"], 0 if percent <= 10 else 3))
    if "seeds" in made:
        rows = made["seeds"].set_index("proxy")
        columns.append(("between seeds", rows["between_seeds"], 1))
        columns.append(("limit by seeds", rows["limit"], 2))
    if not columns:
        return None
    cells = [report.Column("proxy", list(order), is_text=True)]
    for heading, values, rank in columns:
        shown = [report.number(float(values.get(name, math.nan))) for name in order]
        cells.append(report.Column(heading, shown, rank))
    styles = ["yellow" if name in baselines else None for name in order]
    files = ", ".join(f"{name}.csv" for name in made)
    return report.Folding("Spearman rho, more closely", cells, styles, files)


def against_table(rows: pd.DataFrame) -> Folding:
    """What other scores make of the rank correlations, for the terminal.

    Args:
        rows: of the cut "against".
    """
    from tfnas.evidence import report

    def numbers(name: str) -> list[str]:
        return [report.number(value) for value in rows[name]]

    cells = [
        report.Column("against", rows["against"].tolist(), is_text=True),
        report.Column("proxy", rows["proxy"].tolist(), is_text=True),
        report.Column("rho", numbers("spearman"), 1),
        report.Column("other", numbers("other"), 1),
        report.Column("difference", numbers("difference")),
        report.Column("from", numbers("difference_lo"), 2),
        report.Column("to", numbers("difference_hi"), 2),
        report.Column("agreement", numbers("agreement"), 3),
    ]
    return report.Folding("Spearman rho against other scores", cells, [None] * len(rows), "against.csv")
