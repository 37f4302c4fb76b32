"""Score architectures with training-free proxies.

Examples:
    python -m launch.score --num_archs=32 --output=output/scores
    python -m launch.score --dataset=cifar10 --data_dir=~/tensorflow_datasets --proxies=gradsign,synflow,naswot
        --num_archs=300 --output=output/cifar10

The same command started again goes on where it was stopped, and other proxies, seeds or architectures may be added to
the same folder. A score depends on the settings, the seed and the architecture alone: not on the order, the shard or
what else is scored. Parameters and FLOPs are always scored too; both cost nothing.
"""

from __future__ import annotations

import collections
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from launch import app
from launch.architectures import choose, in_shard, is_table, parse_shard
from launch.networks import Networks
from launch.scorer import Scorer, blank_records, make_options, placed
from tfnas.errors import InputError, unknown
from tfnas.progress import Progress
from tfnas.runs import records

if TYPE_CHECKING:
    import pandas as pd

ALWAYS = ("params", "flops")


@dataclasses.dataclass(frozen=True)
class Config(Networks):
    """What is scored, with what, on what."""

    split: str = app.flag("train", "split of the data set, in the notation of TFDS")
    proxies: tuple[str, ...] = app.flag(("all",), "names of proxies, separated by commas, or all")
    batch_size: int = app.flag(64, "images in the batch")
    ntk_batch_size: int = app.flag(
        0, "images of the batch that the NTK proxies take, with one backward pass each (0: all)"
    )
    repeats: int = app.flag(1, "independent initialisations of each architecture")
    bn: str = app.flag("", "batch normalisation: inference, example or batch (each proxy's own by default)")
    kernel: str = app.flag("sum_logits", "kernel of the NTK proxies", choices=("sum_logits", "trace"))
    params: str = app.flag("te_nas", "parameters the NTK proxies look at", choices=("te_nas", "all", "kernels"))
    prescribed_init: bool = app.flag(
        True, "Zen, SWAP and AZ-NAS draw weights and images of their own, as published; otherwise take --init and batch"
    )
    noise_repeats: int = app.flag(32, "draws that Zen and SWAP average over (32 as published)")
    synflow_kept_bn: tuple[str, ...] = app.flag(
        (), "prefixes of layers whose BN synflow keeps (zero-cost-nas: reduction)"
    )
    retry: bool = app.flag(False, "score again what ended in oom or error")

    def check(self) -> None:
        """Everything that can be known to be wrong before the first score.

        Raises:
            InputError: for any of it.
        """
        for name, least in (("batch_size", 1), ("ntk_batch_size", 0), ("repeats", 1), ("noise_repeats", 1)):
            if getattr(self, name) < least:
                raise InputError(f"--{name} must be at least {least}. Received: {getattr(self, name)}")
        self.names()
        super().check()
        from tfnas import data

        app.start_tensorflow()
        make_options(self, seed=0)
        available = data.split_size(self.dataset, self.split, data_dir=self.data_dir or None)
        if self.batch_size > available:
            raise InputError(
                f"The batch is larger than the split. Received: {self.batch_size}. "
                f"{self.dataset}/{self.split} has {available} examples"
            )

    def names(self) -> list[str]:
        """Proxies asked for, and those always scored, in the order of the registry."""
        import proxies

        known = list(proxies.names())
        for name in self.proxies:
            if name != "all" and name not in known:
                raise unknown("proxy", name, [*known, "all"])
        if not self.proxies:
            raise InputError(f"--proxies is empty. Allowed: {', '.join(known)}, all")
        wanted = set(known if "all" in self.proxies else self.proxies) | set(ALWAYS)
        return [name for name in known if name in wanted]


def run(config: Config) -> None:
    """Scores what the config asks for and says where the records are."""
    architectures = choose(config)
    score(config, architectures)
    summarize(config, architectures)


def score(config: Config, architectures: Sequence[str], evaluate: Callable[..., Any] | None = None) -> None:
    """Scores architectures into `config.output`, leaving out what is there already.

    Args:
        config: all settings; its own way of naming architectures is not looked at.
        architectures: strings of the space; those of other shards are passed over.
        evaluate: stands in for `proxies.evaluate` in tests.
    """
    network, (index, count) = config.network(), parse_shard(config.shard)
    blanks = blank_records(config, network)
    known = records.done(config.output, retry=config.retry)
    jobs = [
        (arch, repeat, [blank.proxy for blank in blanks if placed(blank, arch, repeat).key not in known])
        for arch in architectures
        if in_shard(arch, index, count)
        for repeat in range(config.repeats)
    ]
    todo = [job for job in jobs if job[2]]
    ready = len(jobs) - len(todo)
    if known:
        print(f"{config.output}: {len(known)} records found; {ready} of {len(jobs)} networks are done")
    if not todo:
        return
    scorer = Scorer(config, network, blanks, evaluate)
    with (
        records.Writer(config.output, f"{index}of{count}") as writer,
        Progress("networks", len(jobs), done=ready) as bar,
    ):
        for arch, repeat, names in todo:
            writer.add(scorer(arch, repeat, names))
            bar.advance()


def results(config: Config, architectures: Sequence[str]) -> pd.DataFrame:
    """The records in `config.output` that this config asks for of these architectures, and no others.

    `frame.attrs["skipped"]` is that of `records.read`.
    """
    blanks = blank_records(config, config.network())
    keys = {
        placed(blank, arch, repeat).key
        for arch in architectures
        for repeat in range(config.repeats)
        for blank in blanks
    }
    frame = records.read(config.output)
    wanted = [key in keys for key in frame[list(records.KEY)].itertuples(index=False, name=None)]
    return frame[wanted].reset_index(drop=True)


def summarize(config: Config, architectures: Sequence[str]) -> None:
    """Prints what the folder holds of what was asked for, and what to do next."""
    frame = results(config, architectures)
    for line in frame.attrs["skipped"]:
        print(f"skipped {line}", file=sys.stderr)
    networks = frame.groupby(["arch", "repeat"]).seconds.sum()
    statuses = ", ".join(f"{count} {status}" for status, count in sorted(collections.Counter(frame.status).items()))
    pace = f"; {networks.mean():.2f} s a network" if len(networks) else ""
    print(
        f"{len(frame)} records ({statuses or 'none'}) of {frame.arch.nunique()} architectures and "
        f"{frame.proxy.nunique()} proxies in {config.output}{pace}"
    )
    for (proxy, status, message), count in _failures(frame):
        print(f"  {proxy}: {count} {status}" + (f" ({message})" if message else ""))
    table = config.archs if config.archs and is_table(config.archs) else "TABLE"
    print(
        f"next: python -m launch.correlate --scores={config.output} --table={table} --output={config.output}/evidence"
    )


def _failures(frame: Any) -> Iterator[tuple[tuple[str, str, str], int]]:
    bad = frame[frame.status != "ok"]
    yield from collections.Counter(zip(bad.proxy, bad.status, bad.message, strict=True)).most_common(5)


def main(argv: Sequence[str] | None = None) -> int:
    return app.launch(Config, run, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
