"""Scores of untrained networks, as experiments of any paper need them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import proxies
from launch.flags.reproduction import EMBEDDED_NETWORK, Reproduction
from launch.flags.scoring import Scoring
from launch.jobs.base import Job
from launch.jobs.scores import ScoreJob
from launch.papers.base import Experiment

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Scored:
    """Proxies of a network on each data set, with each initialisation, in each BN mode.

    Attributes:
        proxies: what is scored; parameters and FLOPs always are.
        inits: initialisation schemes.
        modes: of BN; "" is each proxy's own.
        flavour: of the networks, in the paper's space.
        batch_size, synflow_kept_bn, noise_repeats: as the flags of launch.score.
        ntk_batch_size: the same, at any scale but small and at small.
        dtype: of all arithmetic.
        first_only: whether the scores on the first data set serve for all.
    """

    proxies: tuple[str, ...]
    inits: tuple[str, ...] = ("torch",)
    modes: tuple[str, ...] = ("",)
    flavour: str = ""
    batch_size: int = 64
    ntk_batch_size: tuple[int, int] = (0, 0)
    synflow_kept_bn: tuple[str, ...] = ()
    noise_repeats: int = 4
    dtype: str = "float32"
    first_only: bool = False

    def unlike(self, records: pd.DataFrame) -> list[str]:
        """A line for each setting in which scores that are given are not what is asked for, of its own networks."""
        mine = records[records["proxy"].isin([name for name in self.proxies if not proxies.get(name).batch_option])]
        lines = []
        for column, wanted in (("flavour", self.flavour), ("batch_size", self.batch_size)):
            given = sorted(map(str, mine[column].unique()))
            if wanted and given not in ([], [str(wanted)]):
                lines.append(f"the scores that are given are of {column} {', '.join(given)}, not {wanted}")
        pairs = mine[["proxy", "bn"]].drop_duplicates().itertuples(index=False)
        odd = [f"{mode} ({name})" for name, mode in pairs if mode not in (*self.modes, proxies.get(name).bn)]
        if odd:
            wanted = ", ".join(self.modes) if any(self.modes) else "each proxy's own"
            lines.append(f"the scores that are given are of BN mode {', '.join(odd)}, not {wanted}")
        return lines

    def of(self, experiment: Experiment, request: Reproduction, space: str, datasets: Sequence[str]) -> list[Job]:
        """A job for each data set, initialisation and BN mode."""
        whole, small = self.ntk_batch_size
        network: dict[str, Any] = {"flavour": self.flavour if space == experiment.space else ""}
        return [
            ScoreJob(
                Scoring(
                    space=space,
                    dataset=dataset,
                    data_dir=request.data_dir,
                    proxies=self.proxies,
                    batch_size=self.batch_size,
                    ntk_batch_size=small if request.scale == "small" else whole,
                    synflow_kept_bn=self.synflow_kept_bn,
                    noise_repeats=self.noise_repeats,
                    dtype=self.dtype,
                    seed=request.seed,
                    init=init,
                    bn=mode,
                    **(network if request.table else EMBEDDED_NETWORK),
                )
            )
            for dataset in (datasets[:1] if self.first_only else datasets)
            for init in self.inits
            for mode in self.modes
        ]
