"""Closer looks at the same scores: among the best, at fixed size, between scores, seeds, names and settings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from launch.jobs.classes import Scored
from launch.jobs.evidence import Evidence
from tfnas.errors import InputError, unknown

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# What tables call a single training beside the mean of several.
ONE_RUN = "_one_random_seed"


@dataclasses.dataclass(frozen=True)
class Case:
    """What cuts are made of.

    Attributes:
        found: scores beside the truth.
        scored: with the repeats of each network, before any was taken for isomorphic ones.
        table: of `evidence.load_truth`.
        run: column of it with one training run each; "" where there is none.
        others: other scores of the same networks, by where they are from.
        other_target: column of the table that these are held against.
        resamples, seed: of the intervals.
    """

    found: Evidence
    scored: Scored
    table: pd.DataFrame
    run: str
    resamples: int
    seed: int
    others: Mapping[str, pd.DataFrame] = dataclasses.field(default_factory=dict)
    other_target: str = ""

    @property
    def scores(self) -> pd.DataFrame:
        return self.scored.scores

    @property
    def truth(self) -> pd.Series:
        return self.table[self.found.target].astype(float)

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


def renamed(others: Mapping[str, pd.DataFrame], names: Mapping[str, str]) -> dict[str, pd.DataFrame]:
    """Other scores under the names that they have here.

    Args:
        others: long frames by where they are from.
        names: what a score is called there, by its name here. What has its name there already is left out. Several
            may be held against the same one.

    Raises:
        InputError: none of the places has a score of such a name.
    """
    there = sorted({name for frame in others.values() for name in frame["proxy"]})
    for name in names.values():
        if name not in there:
            raise unknown("score of --against (--against_names)", name, there)
    import pandas as pd

    found = {}
    for place, frame in others.items():
        known = {mine: theirs for mine, theirs in names.items() if theirs in set(frame["proxy"])}
        rest = frame[~frame["proxy"].isin([*known, *known.values()])]
        parts = [frame[frame["proxy"] == theirs].assign(proxy=mine) for mine, theirs in known.items()]
        found[place] = pd.concat([rest, *parts])
    return found


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
    from tfnas.evidence.reading import REPEATS

    scores = _no_sizes(case)
    columns = [column for column in REPEATS if column in scores]
    if not (columns and scores.drop_duplicates(["proxy", "arch", *columns]).duplicated(["proxy", "arch"]).any()):
        return "no network has several seeds or repeats"
    return "" if reliability.measured(scores) else "no two networks have scores under the same two seeds or repeats"


def _no_sizes(case: Case) -> pd.DataFrame:
    return case.scores[~case.scores["proxy"].isin(case.found.baselines)]


def _seeds(case: Case) -> pd.DataFrame:
    from tfnas.evidence import reliability

    return reliability.between_seeds(_no_sizes(case), case.truth, **case.options)


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
    groups = case.scored.classes
    if groups is None:
        return "the space of the networks is unknown"
    return "" if groups.value_counts().ge(2).sum() >= 2 else "no two classes of which several strings are scored"


def _classes(case: Case) -> pd.DataFrame:
    import pandas as pd

    from tfnas.evidence import nested

    groups = case.scored.classes
    parts = {"any": nested.within_classes(case.scores, groups)}
    sizes = case.scores[case.scores["proxy"].isin(case.found.baselines)]
    if len(sizes):
        wide = sizes.pivot_table(index="arch", columns="proxy", values="score", aggfunc="first").reindex(groups.index)
        # Strings of one size differ in no layer that nothing depends on.
        equal = wide.assign(of=groups).groupby([*wide, "of"], dropna=False).ngroup()
        if equal.nunique() > groups.nunique() and equal.value_counts().ge(2).sum() >= 2:
            parts["equal"] = nested.within_classes(case.scores, equal)
    return pd.concat([frame.assign(sizes=name) for name, frame in parts.items()], ignore_index=True)


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
