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
import functools
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from launch import app
from tfnas import environment, records, seeds
from tfnas.errors import InputError, unknown
from tfnas.progress import Progress

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from spaces.base import NetworkConfig, Space

ALWAYS = ("params", "flops")
# Proxies that look at the tangent kernel: they take --ntk_batch_size, --kernel and --params.
NTK = ("fnorm", "ntk_mean", "ncn", "lga")


@dataclasses.dataclass(frozen=True)
class Config:
    """What is scored, with what, on what."""

    output: str = app.flag(None, "folder for the records, local or gs://")
    space: str = app.flag("nasbench201", "search space")
    dataset: str = app.flag("digits", "data set of the batch; it decides classes and input shape of the networks")
    data_dir: str = app.flag("", "folder of prepared TFDS data sets (TFDS' own by default)")
    split: str = app.flag("train", "split of the data set, in the notation of TFDS")
    proxies: tuple[str, ...] = app.flag(("all",), "names of proxies, separated by commas, or all")
    num_archs: int | None = app.flag(None, "score this many distinct architectures, drawn uniformly by --seed")
    archs: str | None = app.flag(
        None, "score the architectures of a text file, one a line, or of a table (file or embedded)"
    )
    all: bool = app.flag(False, "score every architecture of the space")
    batch_size: int = app.flag(64, "images in the batch")
    ntk_batch_size: int = app.flag(0, "images for kernels that need a backward pass each (0: --batch_size)")
    seed: int = app.flag(0, "base seed: batch, sample of architectures and initial weights derive from it")
    repeats: int = app.flag(1, "independent initialisations of each architecture")
    init: str = app.flag("torch", "initialisation scheme")
    bn: str = app.flag("", "batch normalisation: inference, example or batch (each proxy's own by default)")
    width: int | None = app.flag(None, "channels of the first stage (the published value by default)")
    depth: int | None = app.flag(None, "cells a stage (the published value by default)")
    flavour: str = app.flag("", "which published implementation of the space (its own by default)")
    kernel: str = app.flag("sum_logits", "kernel of the NTK proxies", choices=("sum_logits", "trace"))
    params: str = app.flag("te_nas", "parameters the NTK proxies look at", choices=("te_nas", "all", "kernels"))
    retry: bool = app.flag(False, "score again what ended in oom or error")
    shard: str = app.flag("0/1", "i/n: score the i-th of n parts (i from 0); shards may share a folder")

    def check(self) -> None:
        """Everything that can be known to be wrong before the first score.

        Raises:
            InputError: for any of it.
        """
        for name, least in (("batch_size", 1), ("ntk_batch_size", 0), ("repeats", 1)):
            if getattr(self, name) < least:
                raise InputError(f"--{name} must be at least {least}. Received: {getattr(self, name)}")
        self.parts()
        self.names()
        self.network()
        choose(self)
        from tfnas import data, weights

        if self.init not in weights.SCHEMES:
            raise unknown("initialisation scheme (--init)", self.init, weights.SCHEMES)
        app.start_tensorflow()
        _options(self, seed=0)
        available = data.split_size(self.dataset, self.split, data_dir=self.data_dir or None)
        largest = max(self.batch_size, self.ntk_batch_size)
        if largest > available:
            raise InputError(
                f"The batch is larger than the split. Received: {largest}. "
                f"{self.dataset}/{self.split} has {available} examples"
            )

    def parts(self) -> tuple[int, int]:
        """(i, n) of --shard=i/n."""
        index, _, count = self.shard.partition("/")
        if not (index.isdigit() and count.isdigit() and int(index) < int(count)):
            raise InputError(f"--shard must be i/n with 0 <= i < n. Received: {self.shard!r}")
        return int(index), int(count)

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

    def network(self) -> NetworkConfig:
        """The network of every architecture, with the space's defaults filled in."""
        import spaces
        from tfnas import data

        source = data.info(self.dataset)
        settings = {"classes": source.classes, "input_shape": source.input_shape}
        settings |= {name: getattr(self, name) for name in ("width", "depth") if getattr(self, name) is not None}
        settings |= {"flavour": self.flavour} if self.flavour else {}
        return spaces.get(self.space).config(**settings)


def run(config: Config) -> None:
    """Scores what the config asks for and says where the records are."""
    architectures = choose(config)
    score(config, architectures)
    summarize(config, architectures)


def choose(config: Config) -> list[str]:
    """Strings of the architectures that the config names, all shards together, without repetitions.

    Raises:
        InputError: no or contradicting ways of naming them, a bad file or string, more than there are.
    """
    import spaces

    space = spaces.get(config.space)
    if config.all == (config.archs is not None or config.num_archs is not None):
        raise InputError("Which architectures? Give --num_archs=N, --archs=FILE, both (N of the file) or --all")
    if config.all:
        return [str(arch) for arch in space.enumerate()]
    if config.archs is None:
        return sample_architectures(space, config.num_archs, config.seed)
    known = read_architectures(config.archs, space)
    return known if config.num_archs is None else sample_known(known, config.num_archs, config.seed)


def read_architectures(path: str, space: Space) -> list[str]:
    """Architectures of a text file (one string a line, blank lines and # comments aside) or of a table.

    Args:
        path: text file; or Parquet or CSV file with a column `arch`; or name of an embedded table.
        space: whose strings they are.

    Raises:
        InputError: no such file, or the line that is no architecture.
    """
    from tfnas import tables

    if path in tables.embedded_names() or path.endswith((".parquet", ".csv")):
        lines = tables.load(path).arch.tolist()
    else:
        try:
            lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a text file"
            raise InputError(f"Cannot read --archs={path}: {reason}") from error
    found = {}
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                found[str(space.parse(text))] = None
            except InputError as error:
                raise InputError(f"{path}, line {number}: {error}") from error
    if not found:
        raise InputError(f"--archs={path} has no architectures")
    return list(found)


def sample_architectures(space: Space, count: int, seed: int) -> list[str]:
    """`count` distinct architectures, uniform over the space; a smaller count gives the first of them."""
    import numpy as np

    _check_count(count, space.size, space.name)
    rng = np.random.default_rng(seeds.derive_seed(seed, "architectures", space.name))
    found: dict[str, None] = {}
    while len(found) < count:
        found[str(space.sample(rng))] = None
    return list(found)


def sample_known(known: Sequence[str], count: int, seed: int) -> list[str]:
    """`count` of the architectures given, uniformly; a smaller count gives the first of them."""
    import numpy as np

    _check_count(count, len(known), "the file")
    rng = np.random.default_rng(seeds.derive_seed(seed, "architectures"))
    return [known[index] for index in rng.permutation(len(known))[:count]]


def _check_count(count: int, available: int, where: str) -> None:
    if not 1 <= count <= available:
        raise InputError(f"--num_archs must be between 1 and {available}, what {where} has. Received: {count}")


def in_shard(arch: str, index: int, count: int) -> bool:
    """Whether an architecture belongs to shard `index` of `count`: by its string, so by nothing else."""
    return seeds.derive_seed(0, "shard", arch) % count == index


def score(config: Config, architectures: Sequence[str], evaluate: Callable[..., Any] | None = None) -> None:
    """Scores architectures into `config.output`, leaving out what is there already.

    Args:
        config: all settings; its own way of naming architectures is not looked at.
        architectures: strings of the space; those of other shards are passed over.
        evaluate: stands in for `proxies.evaluate` in tests.
    """
    network, index_count = config.network(), config.parts()
    shard = [arch for arch in architectures if in_shard(arch, *index_count)]
    known = records.done(config.output, retry=config.retry)
    groups = _groups(config)
    jobs = []
    for arch in shard:
        for repeat in range(config.repeats):
            blank = [
                (options, [name for name in names if _record(config, network, arch, repeat, name).key not in known])
                for options, names in groups
            ]
            jobs.append((arch, repeat, [(size, names) for size, names in blank if names]))
    todo = [job for job in jobs if job[2]]
    if known:
        print(f"{config.output}: {len(known)} records found; {len(jobs) - len(todo)} of {len(jobs)} networks are done")
    if not todo:
        return
    batches = _load(config)
    evaluate = evaluate or _evaluate()
    label = "{}of{}".format(*index_count)
    with (
        records.Writer(config.output, label) as writer,
        Progress("networks", len(jobs), done=len(jobs) - len(todo)) as bar,
    ):
        for arch, repeat, work in todo:
            writer.add(_score_one(config, network, arch, repeat, work, batches, evaluate))
            bar.advance()


def results(config: Config, architectures: Sequence[str]) -> pd.DataFrame:
    """The records in `config.output` that this config asks for of these architectures, and no others.

    `frame.attrs["skipped"]` is that of `records.read`.
    """
    network = config.network()
    keys = {
        _record(config, network, arch, repeat, name).key
        for arch in architectures
        for repeat in range(config.repeats)
        for name in config.names()
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
    print(f"next: python -m launch.correlate --scores={config.output} --table=TABLE --output=FOLDER")


def _failures(frame: Any) -> Iterator[tuple[tuple[str, str, str], int]]:
    bad = frame[frame.status != "ok"]
    yield from collections.Counter(zip(bad.proxy, bad.status, bad.message, strict=True)).most_common(5)


def _groups(config: Config) -> list[tuple[int, list[str]]]:
    """(batch size, proxies that take it): one pass shared by each group."""
    groups: dict[int, list[str]] = {}
    for name in config.names():
        groups.setdefault(_batch_size(config, name), []).append(name)
    return list(groups.items())


def _batch_size(config: Config, proxy: str) -> int:
    return config.ntk_batch_size or config.batch_size if proxy in NTK else config.batch_size


def _options(config: Config, seed: int) -> Any:
    import proxies

    chosen = {"bn": config.bn} if config.bn else {}
    return proxies.Options(seed=seed, kernel=config.kernel, params=config.params, **chosen)


def _record(config: Config, network: NetworkConfig, arch: str, repeat: int, proxy: str) -> records.Record:
    """The record of a score that is still to come: all of its key, none of its values."""
    options = {"split": config.split, "classes": network.classes, "input_shape": network.input_shape}
    if proxy in NTK:
        options |= {"kernel": config.kernel, "params": config.params}
    return records.Record(
        space=config.space,
        arch=arch,
        dataset=config.dataset,
        proxy=proxy,
        score=float("nan"),
        seed=config.seed,
        repeat=repeat,
        init=config.init,
        bn=config.bn or "default",
        batch_size=_batch_size(config, proxy),
        width=network.width,
        depth=network.depth,
        flavour=network.flavour,
        options=records.dump_options(options),
    )


def _score_one(
    config: Config,
    network: NetworkConfig,
    arch: str,
    repeat: int,
    work: list[tuple[int, list[str]]],
    batches: dict[int, tuple[np.ndarray, np.ndarray]],
    evaluate: Callable[..., Any],
) -> list[records.Record]:
    """Records of one network. Whatever goes wrong in it becomes the status of its records, never the end of the run."""
    import spaces
    from tfnas import weights

    seed = seeds.derive_seed(config.seed, config.space, arch, repeat)
    versions = {f"{name}_version": environment.version(name) for name in ("tfnas", "tensorflow", "keras")}
    found = []
    for size, names in work:
        started = time.perf_counter()
        try:
            space = spaces.get(config.space)
            graph = space.layer_graph(space.parse(arch), **dataclasses.asdict(network))
            initial = weights.initialize(graph, config.init, seed)
            outcomes = evaluate(graph, initial, *batches[size], names, _options(config, seed))
            values = {name: (o.score, o.status, o.message, o.seconds) for name, o in outcomes.items()}
        except InputError:
            raise
        except Exception as error:
            status = "oom" if _out_of_memory(error) else "error"
            message = f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]
            seconds = (time.perf_counter() - started) / len(names)
            values = {name: (float("nan"), status, message, seconds) for name in names}
        for name in names:
            score_, status, message, seconds = values[name]
            filled = {"score": float(score_), "status": status, "message": message, "seconds": float(seconds)}
            blank = _record(config, network, arch, repeat, name)
            found.append(dataclasses.replace(blank, **filled, **versions, device=_device()))
    return found


def _load(config: Config) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """The one batch of each size that is needed, the same for every network."""
    from tfnas import data

    sizes = {size for size, _ in _groups(config)}
    folder = config.data_dir or None
    return {size: data.batch(config.dataset, config.split, size, config.seed, data_dir=folder) for size in sizes}


def _evaluate() -> Callable[..., Any]:
    import proxies

    return proxies.evaluate


def _out_of_memory(error: Exception) -> bool:
    import tensorflow as tf

    return isinstance(error, MemoryError | tf.errors.ResourceExhaustedError)


@functools.cache
def _device() -> str:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return f"CPU: {environment.cpu_model()}"
    return f"GPU: {tf.config.experimental.get_device_details(gpus[0]).get('device_name', 'unknown')}"


def main(argv: Sequence[str] | None = None) -> int:
    return app.launch(Config, run, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
