"""How one network is scored, and the records that come of it."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tfnas import environment, seeds
from tfnas.errors import InputError
from tfnas.runs import records

if TYPE_CHECKING:
    import proxies
    from launch.score import Config
    from spaces.base import NetworkConfig
    from tfnas.networks.graph import Graph

# Which proxies a setting of proxies.Options changes: it belongs to the records of these and of no others.
NTK = ("fnorm", "ntk_mean", "ncn", "lga")
PRESCRIBED = ("zen", "swap", "aznas_expressivity", "aznas_progressivity", "aznas_trainability")
CHANGES = {
    "kernel": NTK,
    "params": NTK,
    "prescribed_init": PRESCRIBED,
    "noise_repeats": ("zen", "swap"),
    "synflow_kept_bn": ("synflow",),
}


def make_options(config: Config, seed: int) -> proxies.Options:
    import proxies

    return proxies.Options(
        bn=config.bn or None,
        seed=seed,
        ntk_batch_size=config.ntk_batch_size,
        **{name: getattr(config, name) for name in CHANGES},
    )


def blank_records(config: Config, network: NetworkConfig) -> list[records.Record]:
    """The record of each proxy, without architecture, repeat and values."""
    import proxies

    versions = {f"{name}_version": environment.version(name) for name in ("tfnas", "tensorflow", "keras")}
    options = make_options(config, seed=0)
    blanks = []
    for name in config.names():
        settings = {"split": config.split, "classes": network.classes, "input_shape": network.input_shape}
        settings |= {setting: getattr(config, setting) for setting, changed in CHANGES.items() if name in changed}
        images = config.ntk_batch_size if name in NTK else 0
        blanks.append(
            records.Record(
                space=config.space,
                arch="",
                dataset=config.dataset,
                proxy=name,
                score=math.nan,
                seed=config.seed,
                init=config.scheme(),
                bn=proxies.get(name).mode(options),
                batch_size=min(images or config.batch_size, config.batch_size),
                width=network.width,
                depth=network.depth,
                flavour=network.flavour,
                options=records.dump_options(settings),
                **versions,
            )
        )
    return blanks


def placed(blank: records.Record, arch: str, repeat: int) -> records.Record:
    return dataclasses.replace(blank, arch=arch, repeat=repeat)


class Scorer:
    """Scores one network after the other on the same batch."""

    def __init__(
        self,
        config: Config,
        network: NetworkConfig,
        blanks: Sequence[records.Record],
        evaluate: Callable[..., Any] | None,
    ) -> None:
        import proxies
        import spaces
        from tfnas import data

        self.config, self.network = config, dataclasses.asdict(network)
        self.blanks = {blank.proxy: blank for blank in blanks}
        self.space = spaces.get(config.space)
        self.evaluate = evaluate or proxies.evaluate
        # ZiCo compares two batches; where the split has no second one, it takes the halves of the first.
        size, folder = config.batch_size, config.data_dir or None
        available = data.split_size(config.dataset, config.split, data_dir=folder)
        both = 2 * size if "zico" in self.blanks and 2 * size <= available else size
        images, labels = data.batch(config.dataset, config.split, both, config.seed, data_dir=folder)
        self.batch = images[:size], labels[:size]
        self.second = (images[size:], labels[size:]) if both > size else None

    def __call__(self, arch: str, repeat: int, names: Sequence[str]) -> list[records.Record]:
        """Records of one network. Whatever goes wrong becomes the status of its records, never the end of the run."""
        from tfnas.networks import weights

        seed = seeds.derive_seed(self.config.seed, self.config.space, arch, repeat)
        device = environment.device()
        started = time.perf_counter()
        try:
            graph = self._graph(arch)
            initial = weights.initialize(graph, self.config.scheme(), seed)
            found = self.evaluate(
                graph,
                initial,
                *self.batch,
                names,
                make_options(self.config, seed),
                second=self.second,
                thin=lambda **changes: self._graph(arch, width=self.space.min_width, **changes),
            )
            values = {name: (found[name].score, found[name].status, found[name].message) for name in names}
            spent = {name: found[name].seconds for name in names}
            # Building belongs to the cost of a network: the first proxy pays it.
            spent[names[0]] += time.perf_counter() - started - sum(spent.values())
        except InputError:
            raise
        except Exception as error:
            status = "oom" if out_of_memory(error) else "error"
            message = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
            values = dict.fromkeys(names, (math.nan, status, message))
            spent = dict.fromkeys(names, (time.perf_counter() - started) / len(names))
        return [
            dataclasses.replace(
                placed(self.blanks[name], arch, repeat),
                **dict(zip(("score", "status", "message"), values[name], strict=True)),
                seconds=spent[name],
                device=device,
            )
            for name in names
        ]

    def _graph(self, arch: str, **changes: Any) -> Graph:
        return self.space.layer_graph(self.space.parse(arch), **(self.network | changes))


def out_of_memory(error: Exception) -> bool:
    import tensorflow as tf

    return isinstance(error, MemoryError | tf.errors.ResourceExhaustedError)
