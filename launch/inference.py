"""How one architecture goes through NNGP or NTK inference, and the records that come of it."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import sys
import time
import zipfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from etils import epath

from launch.scorer import out_of_memory
from proxies import nngp
from tfnas import data, devices, environment, files, seeds
from tfnas.errors import InputError
from tfnas.inference import ridge
from tfnas.runs import records

if TYPE_CHECKING:
    from launch.nngp import Config
    from tfnas.networks.graph import Graph

SIZES = ("params", "flops")


def blank_records(config: Config) -> list[records.Record]:
    """The record of each combination of sizes, then of parameters and FLOPs, without architecture and values."""
    from launch.nngp import combinations

    network = config.network()
    settings = {
        "classes": network.classes,
        "input_shape": network.input_shape,
        "train_split": config.train_split,
        "val_split": config.val_split,
        "bn_momentum": network.bn_momentum,
        "regularizers": config.regularizer_values(),
        "dtype": config.dtype,
    }
    common = {
        "space": config.space,
        "arch": "",
        "dataset": config.dataset,
        "score": math.nan,
        "seed": config.seed,
        "init": config.scheme(),
        "batch_size": config.calibration(),
        "width": network.width,
        "depth": network.depth,
        "flavour": network.flavour,
        **{f"{name}_version": environment.version(name) for name in ("tfnas", "tensorflow", "keras")},
    }
    names = ["_".join(map(str, (config.kernel, *sizes))) for sizes in combinations(config)]
    blanks = [
        records.Record(proxy=name, bn="inference", options=records.dump_options(settings), **common) for name in names
    ]
    bare = records.dump_options({key: settings[key] for key in ("classes", "input_shape")})
    return blanks + [records.Record(proxy=name, options=bare, **common) for name in SIZES]


class Inference:
    """Takes one architecture after the other through inference on the same images."""

    def __init__(self, config: Config, blanks: Sequence[records.Record]) -> None:
        import spaces

        self.config, self.blanks = config, list(blanks)
        self.strategy = devices.strategy(config.strategy)  # before anything runs on a device
        self.space, self.network = spaces.get(config.space), dataclasses.asdict(config.network())
        folder = config.data_dir or None
        train = max(config.counts("n_train"))
        self.data = nngp.Data(
            *data.balanced_prefixes(config.dataset, config.train_split, train, config.seed, data_dir=folder),
            *data.balanced_prefixes(
                config.dataset, config.val_split, max(config.counts("n_val")), config.seed, data_dir=folder
            ),
            self.network["classes"],
        )
        self.batches = [
            data.batch(
                config.dataset,
                config.train_split,
                config.calibration(),
                seeds.derive_seed(config.seed, "batch normalisation", member),
                data_dir=folder,
            )[0]
            for member in range(max(config.counts("ensemble")))
        ]

    def __call__(self, arch: str) -> list[records.Record]:
        """Records of one architecture. Whatever goes wrong becomes their status, never the end of the run."""
        from launch.nngp import combinations

        started = time.perf_counter()
        device = environment.device()
        found: list[dict] = []
        try:
            graph = self.space.layer_graph(self.space.parse(arch), **self.network)
            members = [self.member(graph, arch, index) for index in range(len(self.batches))]
            for n_train, n_val, ensemble in combinations(self.config):
                sweep = nngp.infer(
                    members[:ensemble],
                    self.data,
                    n_train,
                    n_val,
                    self.config.regularizer_values(),
                    memory_budget=self.config.memory_mb << 20,
                )
                # The first record pays for the networks, the others for their solve.
                found.append(_values(sweep) | {"seconds": time.perf_counter() - started})
                started = time.perf_counter()
            found += [{"score": float(size)} for size in (graph.count_params(), graph.flops())]
        except InputError:
            raise
        except Exception as error:
            status = "oom" if out_of_memory(error) else "error"
            message = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
            found = [{"status": status, "message": message}] * len(self.blanks)
        return [
            dataclasses.replace(blank, arch=arch, device=device, **values)
            for blank, values in zip(self.blanks, found, strict=True)
        ]

    def member(self, graph: Graph, arch: str, index: int) -> nngp.Member:
        """One member of the ensemble, computed or read from --kernels."""
        config = self.config
        path = None
        if config.kernels:
            path = epath.Path(config.kernels) / f"{self.digest(arch, index)}.npz"
            if found := _read(path, config.kernel):
                return found
        seed = nngp.member_seed(config.seed, config.space, arch, index)
        where = {"dtype": config.dtype, "strategy": self.strategy}
        arrays = nngp.member_weights(graph, config.scheme(), seed, self.batches[index], **where)
        if config.kernel == "nngp":
            member = nngp.nngp_member(graph, arrays, self.data, batch_size=config.batch_size, **where)
        else:
            member = nngp.ntk_member(graph, arrays, self.data, dtype=config.dtype, block=config.batch_size)
        if path is not None:
            buffer = io.BytesIO()
            np.savez(buffer, train=member.train, val=member.val)
            files.write_atomic(path, buffer.getvalue())
        return member

    def digest(self, arch: str, index: int) -> str:
        """Name of a member's file: everything that its arrays depend on."""
        config = self.config
        parts = {
            "arch": arch,
            "member": index,
            "kernel": config.kernel,
            "space": config.space,
            "dataset": config.dataset,
            "splits": (config.train_split, config.val_split),
            "sizes": (len(self.data.train), len(self.data.val), config.calibration()),
            "seed": config.seed,
            "init": config.scheme(),
            "dtype": config.dtype,
            "network": self.network,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _values(sweep: ridge.Sweep) -> dict[str, Any]:
    accuracies = [None if math.isnan(accuracy) else round(float(accuracy), 9) for accuracy in sweep.accuracies]
    ok = sweep.status == "ok"
    details = {"accuracies": accuracies, "regularizer": sweep.regularizer if ok else None, "method": sweep.method}
    return {
        "score": sweep.accuracy,
        "status": "ok" if ok else "nan",
        "message": sweep.message if ok or sweep.status == "nan" else f"{sweep.status}: {sweep.message}",
        "details": json.dumps(details),
    }


def _read(path: epath.Path, kernel: str) -> nngp.Member | None:
    """A member kept earlier; None where there is none, or none that can be read."""
    if not path.exists():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            return nngp.Member(kernel, arrays["train"], arrays["val"])
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
        print(f"{path} cannot be read; it is computed again", file=sys.stderr)
        return None
