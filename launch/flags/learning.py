"""The flags of a search by predictors: what is learned from, how often, what is compared, and the soft front."""

from __future__ import annotations

import dataclasses

from launch import app
from launch.flags.networks import check_least, check_most
from launch.flags.predictors import GCN, Predictors
from launch.values import pairs
from tfnas.errors import InputError

# What the predictors that were asked for are compared with.
ONE_STAGE, NO_SCORES = "one_stage", "no_scores"
COMPARED = (ONE_STAGE, NO_SCORES)
_MOST = 1_000_000


@dataclasses.dataclass(frozen=True)
class Learning(Predictors):
    """What is learned from, and what is compared."""

    table: str = app.path_flag(None, "known accuracies: name of an embedded table, or a CSV or Parquet file")
    target: str = app.flag("", "column to learn from and to validate by; may stay open if only one can be meant")
    test_target: str = app.flag("", "column to report of what is found (that of --target by default)")
    space: str = app.flag("", "search space of the table (the one that has its architectures by default)")
    n_train: tuple[int, ...] = app.flag((172,), "networks to learn from; several are compared")
    top_k: int = app.flag(100, "networks to validate, those with the best predictions")
    repeats: int = app.flag(10, "draws of the networks to learn from")
    splits: int = app.flag(10, "random splits of the cross-validation, a third held out (0: none)")
    seed: int = app.flag(0, "of draws, splits and weights")
    scores: tuple[str, ...] = app.path_flag(
        (), "training-free scores as further features: folders of records, files, atlas:NAME, comma separated"
    )
    proxies: tuple[str, ...] = app.flag((), "of --scores take these only")
    where: tuple[str, ...] = app.flag((), "of --scores take those with these settings only: column=value,...")
    compare: tuple[str, ...] = app.flag(
        (), "also predict without what was asked for: one_stage (no --threshold), no_scores (no --scores)"
    )

    def check(self) -> None:
        """Raises InputError for what can be known to be wrong before the table is read."""
        Predictors.check(self)
        check_least(self, top_k=1, repeats=1, splits=0)
        check_most(self, repeats=_MOST, splits=1000)
        if not self.n_train or min(self.n_train) < 1:
            received = ",".join(map(str, self.n_train)) or "none"
            raise InputError(f"--n_train must be at least 1. Received: {received}")
        if self.splits and min(self.n_train) < 3:
            raise InputError(
                f"Cross-validation needs --n_train of 3 or more, or --splits=0. Received: {min(self.n_train)}"
            )
        for flag in ("proxies", "where"):
            if getattr(self, flag) and not self.scores:
                raise InputError(f"--{flag} needs --scores. Received: none")
        pairs("where", self.where)
        needed = {ONE_STAGE: ("threshold", self.threshold), NO_SCORES: ("scores", self.scores)}
        for name in self.compare:
            if name not in needed:
                allowed = ", ".join(COMPARED)
                raise InputError(f"--compare takes what is left out. Received: {name!r}. Allowed: {allowed}")
            if not needed[name][1]:
                raise InputError(f"--compare={name} needs --{needed[name][0]}. Received: none")

    def sizes(self) -> list[int]:
        """Numbers of networks to learn from, without repetitions."""
        return list(dict.fromkeys(self.n_train))


@dataclasses.dataclass(frozen=True)
class Front:
    """Networks drawn by latency, of which the soft front is kept."""

    latency: str = app.path_flag("", "latencies of layers, to draw networks by: the published table, or a linear model")
    window: tuple[float, ...] = app.flag((75.0, 85.0), "ms that networks are drawn within")
    candidates: int = app.flag(112_000, "networks to draw within --window")
    behind: int = app.flag(6, "the soft front keeps what beats the worst of so many that are just faster")

    def check(self) -> None:
        """Raises InputError for a window that is none, and the like."""
        check_least(self, candidates=1, behind=1)
        check_most(self, candidates=_MOST, behind=_MOST)
        if len(self.window) != 2 or not self.window[0] < self.window[1]:
            received = ",".join(map(str, self.window))
            raise InputError(f"--window takes a lower and an upper bound in ms. Received: {received}")


def check_gcn(settings: Predictors, *flags: str) -> None:
    """Raises InputError for a flag that needs the gcn where there is none."""
    if any(getattr(settings, flag) for flag in flags) and GCN not in settings.names():
        needed = " and ".join(f"--{flag}" for flag in flags)
        raise InputError(f"{needed} need the gcn among --predictors. Received: {','.join(settings.predictors)}")
