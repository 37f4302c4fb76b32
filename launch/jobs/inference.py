"""Inference: each architecture's ensemble once, and of it the records of all sizes asked for."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import sys
import time
from typing import TYPE_CHECKING, Any

from etils import epath

import proxies
from launch.flags.inference import Inference
from launch.jobs import summary
from launch.jobs.base import Job, Task, Worker, blank
from tfnas import files, memory, paths, seeds
from tfnas.errors import first_line
from tfnas.runs import records

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from proxies.nngp import Member
    from tfnas.data.lazy import Images
    from tfnas.inference.ridge import Sweep
    from tfnas.networks.graph import Graph

# Images of which a checksum is taken at once.
_BLOCK = 1000
_NO_NUMBER = "the score is not a number for this network"


@dataclasses.dataclass(frozen=True)
class InferenceJob(Job):
    """Judges architectures by inference with the kernel that the settings ask for."""

    # All sizes come from one ensemble, which is what costs.
    whole = True
    flush_every = 1

    settings: Inference

    @property
    def title(self) -> str:
        of = self.settings
        sizes = "; ".join(f"{name} {', '.join(map(str, of.counts(name)))}" for name in ("n_train", "n_val", "ensemble"))
        labels = f", labels {of.labels}" * bool(of.labels)
        return f"{of.dataset}{labels}, kernel {of.kernel}, BN momentum {of.network().bn_momentum}, {sizes}"

    def blanks(self) -> list[records.Record]:
        """The record of each combination of sizes, then of parameters and FLOPs."""
        settings, network = self.settings, self.settings.network()
        options = {
            "train_split": settings.train_split,
            "val_split": settings.val_split,
            "bn_momentum": network.bn_momentum,
            "regularizers": settings.regularizers,
            "dtype": settings.dtype,
        }
        if settings.labels:  # records of the first versions, all of them of all labels, do not say so
            options["labels"] = settings.labels
        common = {
            "seed": settings.seed,
            "init": settings.scheme(),
            "batch_size": settings.calibration(),
        }
        names = ["_".join(map(str, (settings.kernel, *sizes))) for sizes in settings.combinations()]
        inferred = [blank(settings, name, options, bn="inference", **common) for name in names]
        return inferred + [blank(settings, name, {}, **common) for name in proxies.SIZES]

    def warnings(self, found: pd.DataFrame) -> list[str]:
        return summary.of_shared(self.settings)

    def worker(self) -> Worker:
        return _Inferrer(self.settings)


class _Inferrer(Worker):
    """Takes one architecture after the other through inference on the same images."""

    def __init__(self, settings: Inference) -> None:
        from proxies import nngp
        from tfnas import data, devices

        self.settings = settings
        self.strategy = devices.strategy(settings.strategy)  # before anything runs on a device
        if settings.strategy == "mirrored" and self.strategy is None:
            print("--strategy=mirrored: there is one device, which does all the work", file=sys.stderr, flush=True)
        self.leads = devices.is_first(self.strategy)
        self.keeps = True
        network = settings.network()
        where = {"data_dir": settings.data_dir or None, "labels": settings.chosen_labels()}
        parts = ((settings.train_split, max(settings.n_train)), (settings.val_split, max(settings.n_val)))
        images = [
            data.balanced_prefixes(settings.dataset, split, count, settings.seed, **where) for split, count in parts
        ]
        self.data = nngp.Data(*images[0], *images[1], network.classes)
        self.batches = [
            data.batch(
                settings.dataset,
                settings.train_split,
                settings.calibration(),
                seeds.derive_seed(settings.seed, "batch normalisation", member),
                **where,
            )[0]
            for member in range(max(settings.ensemble))
        ]
        # What the names of kept members depend on.
        self.images = _digest(self.data.train, self.data.val) if settings.kernels else ""

    def compute(self, task: Task) -> list[dict[str, Any]]:
        from proxies import nngp

        settings, entry = self.settings, proxies.get(self.settings.kernel)
        started = time.perf_counter()
        graph = settings.layer_graph(task.arch)
        member = functools.cache(functools.partial(self.member, graph, task.arch))
        found: list[dict[str, Any]] = []
        for n_train, n_val, size in settings.combinations():
            options = proxies.Options(n_train=n_train, n_val=n_val, ensemble=size, regularizers=settings.regularizers)
            if settings.kernel in nngp.MEMBERS:
                for index in range(size):  # first, as they leave less for the solve
                    member(settings.kernel, index)
            ensemble = nngp.Ensemble(member, self.data, options, memory_budget=memory.left())
            score = float(entry.compute(ensemble))
            # The first record that needs a member pays for it, the others for their solve alone.
            found.append(_values(score, list(ensemble.sweeps.values())) | {"seconds": time.perf_counter() - started})
            started = time.perf_counter()
        return found + [{"score": float(size)} for size in (graph.count_params(), graph.flops())]

    def member(self, graph: Graph, arch: str, kernel: str, index: int) -> Member:
        """One member of the ensemble, computed or read from --kernels; it counts as memory taken while it is there."""
        found = self.found(graph, arch, kernel, index)
        memory.hold(found, found.train.nbytes + found.val.nbytes)
        return found

    def found(self, graph: Graph, arch: str, kernel: str, index: int) -> Member:
        """The member from --kernels or, where it is not there, computed."""
        from proxies import nngp

        settings = self.settings
        sizes = len(self.data.train), len(self.data.val)
        kept = None
        if settings.kernels:
            kept = Kept(settings, arch, kernel, index, sizes, f"{self.images} {_digest(self.batches[index])}")
        columns = sizes[0] if kernel == "ntk" else graph.by_name[graph.features].shape[-1]
        if kept and (found := kept.read(columns)):
            return found
        seed = nngp.member_seed(settings.seed, settings.space, arch, index)
        where = {"dtype": settings.dtype, "strategy": self.strategy}
        arrays = nngp.member_weights(graph, settings.scheme(), seed, self.batches[index], **where)
        member = nngp.MEMBERS[kernel](graph, arrays, self.data, block_size=settings.block_size, **where)
        if kept and self.keeps:
            self.keeps = kept.write(member)
        return member


@dataclasses.dataclass(frozen=True)
class Kept:
    """A member in the folder --kernels, under a name made of everything that its arrays depend on.

    Attributes:
        settings: of the inference.
        arch: the architecture.
        kernel: "nngp" or "ntk".
        index: of the member in its ensemble.
        sizes: numbers of training and of validation images.
        images: checksums of these and of those that move the BN statistics: data sets of one name may differ.
    """

    settings: Inference
    arch: str
    kernel: str
    index: int
    sizes: tuple[int, int]
    images: str

    @property
    def path(self) -> epath.Path:
        settings = self.settings
        parts = {
            "arch": self.arch,
            "member": self.index,
            "kernel": self.kernel,
            "space": settings.space,
            "dataset": settings.dataset,
            "splits": (settings.train_split, settings.val_split),
            "sizes": (*self.sizes, settings.calibration()),
            "images": self.images,
            "seed": settings.seed,
            "init": settings.scheme(),
            "dtype": settings.dtype,
            "network": dataclasses.asdict(settings.network()),
        }
        if settings.labels:
            parts["labels"] = settings.labels
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
        return epath.Path(paths.expand(settings.kernels)) / f"{digest}.npz"

    def read(self, columns: int) -> Member | None:
        """The member, whose arrays have so many columns; None where there is none, or none that fits, which is said."""
        import numpy as np

        from proxies import nngp

        try:
            arrays = files.from_npz(self.path.read_bytes())
            member = nngp.Member(self.kernel, arrays["train"], arrays["val"])
            for rows, array in zip(self.sizes, (member.train, member.val), strict=True):
                if array.shape != (rows, columns) or array.dtype.kind != "f" or not np.isfinite(array).all():
                    raise ValueError(f"{array.dtype} {list(array.shape)}, expected finite numbers {[rows, columns]}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Exception as error:  # there is no end to what a file may hold that is none of ours
            print(f"{self.path} cannot be used ({first_line(error)}); it is computed again", file=sys.stderr)
            return None
        return member

    def write(self, member: Member) -> bool:
        """Keeps the member; whether that can be done: a folder that cannot be written costs a line, not a score."""
        try:
            files.write_atomic(self.path, files.to_npz({"train": member.train, "val": member.val}))
        except Exception as error:  # buckets have errors of their own
            reason = getattr(error, "strerror", None) or first_line(error)
            print(
                f"warning: --kernels={self.settings.kernels} cannot be written ({reason}); nothing more is kept there",
                file=sys.stderr,
            )
            return False
        return True


def _digest(*parts: np.ndarray | Images) -> str:
    """Checksum of images, which are taken block by block, as they may be in their files."""
    digest = hashlib.sha256()
    for images in parts:
        for at in range(0, len(images), _BLOCK):
            digest.update(images[at : at + _BLOCK].tobytes())
    return digest.hexdigest()


def _values(score: float, sweeps: list[Sweep]) -> dict[str, Any]:
    """Score and status, with what stands behind them where that is one sweep."""
    undefined = math.isnan(score)
    values = {"score": score, "status": "nan" if undefined else "ok", "message": _NO_NUMBER if undefined else ""}
    if len(sweeps) == 1:
        (sweep,) = sweeps
        accuracies = [None if math.isnan(accuracy) else round(float(accuracy), 9) for accuracy in sweep.accuracies]
        regularizer = sweep.regularizer if sweep.status == "ok" else None
        values["details"] = json.dumps({"accuracies": accuracies, "regularizer": regularizer, "method": sweep.method})
        if sweep.message:
            values["message"] = sweep.message if sweep.status in ("ok", "nan") else f"{sweep.status}: {sweep.message}"
    return values
