"""The flags that say where the latency of a network comes from, and how it is weighed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from launch import app
from launch.flags.networks import Networks, check_least, check_most
from tfnas.errors import InputError
from tfnas.latency import rewards

if TYPE_CHECKING:
    from spaces.base import NetworkConfig

MACS, LITERT = "macs", "litert"
# Prefixes of columns of the table of accuracies: milliseconds, or images a second.
COLUMN, THROUGHPUT = "column:", "throughput:"
MOST_REPEATS = 100_000
# Pixels; float32 maps of larger images fit no machine.
LARGEST = 4096


@dataclasses.dataclass(frozen=True)
class Latency(Networks):
    """Where latencies come from."""

    latency: str = app.flag(
        MACS,
        "multiply-adds (macs), measured here (litert), a file with the ms of each operation, or of --table "
        "column:NAME (ms) or throughput:NAME (images a second)",
    )
    litert_repeats: int = app.flag(50, "timed runs of each network, on one thread; the median counts")
    litert_warm_up: int = app.flag(5, "runs before those")
    latency_size: int = app.flag(0, "height and width of the image (those of the data set by default)")

    def check(self) -> None:
        """Everything that can be known to be wrong before the first network.

        Raises:
            InputError: for any of it.
        """
        check_least(self, litert_repeats=2, litert_warm_up=0, latency_size=0)
        check_most(self, litert_repeats=MOST_REPEATS, litert_warm_up=MOST_REPEATS, latency_size=LARGEST)
        Networks.check(self)
        if not self.latency:
            raise InputError("--latency is empty. Allowed: macs, litert, a file, column:NAME, throughput:NAME")
        if self.latency == LITERT:
            from tfnas.latency import litert

            litert.require()
        elif self.kind == "table":
            from tfnas.latency import table

            table.read(self.latency)
        elif self.latency.startswith(COLUMN) and THROUGHPUT[:-1] in self.latency.lower():
            raise InputError(
                f"A throughput is no latency. Received: --latency={self.latency}. "
                f"Allowed: --latency={THROUGHPUT}{self.column}"
            )

    @property
    def kind(self) -> str:
        """Source of latencies: "macs", "litert", "table" or "column"."""
        if self.latency in (MACS, LITERT):
            return self.latency
        return "column" if self.latency.startswith((COLUMN, THROUGHPUT)) else "table"

    @property
    def column(self) -> str:
        """The column of --table that has latencies or throughputs."""
        return self.latency.partition(":")[2]

    @property
    def unit(self) -> str:
        """What latencies are measured in."""
        return "multiply-adds" if self.latency == MACS else "ms"

    def network(self, **settings: object) -> NetworkConfig:
        """As for every launcher, for images of --latency_size."""
        found = super().network(**settings)
        if not self.latency_size:
            return found
        shape = (self.latency_size, self.latency_size, found.input_shape[-1])
        return dataclasses.replace(found, input_shape=shape)


@dataclasses.dataclass(frozen=True)
class Reward:
    """How accuracy and latency become one number."""

    target: float = app.flag(None, "latency that the reward aims at: ms, or multiply-adds with --latency=macs")
    reward: str = app.flag(
        "mnas", "of accuracy a: a (T/l)^w, a min((T/l)^w, 1) or a - w |l/T - 1|", choices=rewards.FORMS
    )
    w: float = app.flag(rewards.W, "how much latency weighs")
    top_k: int = app.flag(10, "networks to report")

    def check(self) -> None:
        """Raises InputError for a target of 0 and the like."""
        check_least(self, top_k=1)
        rewards.check(self.target, self.w)
