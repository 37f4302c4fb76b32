"""What a proxy is, and the registry of all of them. Nothing here imports TensorFlow.

A proxy is registered where it is defined, with all that others need to know of it: what it consumes, the options that
change its score (they identify its records), how much of the batch it takes and what shared passes must collect.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tfnas.errors import unknown
from tfnas.networks.modes import BN_MODES

if TYPE_CHECKING:
    from proxies.options import Options

# What a proxy consumes -> its subject: what is scored, which decides what its function is given.
CONSUMES = {
    "nothing": "network",
    "activations": "network",
    "gradients": "network",
    "example gradients": "network",
    "second order": "network",
    "ensemble": "ensemble",
    "training": "training",
    "training in stages": "stages",
    "predictor": "predictor",
}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One score and how it came about.

    Attributes:
        score: higher is better; NaN unless status is "ok".
        status: "ok", "nan" (the score is not a number), "oom" or "error".
        message: what went wrong, in one line.
        seconds: wall time, passes shared with other proxies counted for the first that asked.
        bn: BN mode used, "" where none matters.
    """

    score: float
    status: str
    message: str = ""
    seconds: float = 0.0
    bn: str = ""


@dataclasses.dataclass(frozen=True)
class Proxy:
    """A score of an architecture; higher always is better.

    Attributes:
        name: in the registry.
        consumes: a key of `CONSUMES`: "nothing", "activations", "gradients" (of one batch), "example gradients" or
            "second order" of one network; "ensemble" of untrained networks; "training" (a short one); "training in
            stages" (FEAR); "predictor".
        bn: published BN mode, "" where none matters.
        summary: one line for people.
        compute: what it is given (`proxies.passes.Passes` of a network, `proxies.nngp.Ensemble`, the epochs of a
            training, `tfnas.training.FearScore`) -> score.
        options: fields of `Options` that change the score; of what consumes training, flags of launch.score.
        batch_option: field of `Options` that says how many images of the batch it takes, "" where it takes all.
        batches: how many batches it compares.
        extras: what shared passes must also collect: "codes", "fisher", "hessian".
        least_images: from which on the score tells networks apart; with fewer it is the same for all, or undefined.
        modes: BN modes that make sense; where another is asked for, the published one is used.
        own_weights: whether it looks at weights of its own or at none, where its architecture can be rebuilt.
    """

    name: str
    consumes: str
    bn: str
    summary: str
    compute: Callable[[Any], float]
    options: tuple[str, ...] = ()
    batch_option: str = ""
    batches: int = 1
    extras: frozenset[str] = frozenset()
    modes: tuple[str, ...] = BN_MODES
    least_images: int = 1
    own_weights: bool = False

    @property
    def subject(self) -> str:
        """What is scored: "network", "ensemble", "training", "stages" or "predictor"."""
        return CONSUMES[self.consumes]

    def ignores_training(self, options: Options) -> bool:
        """Whether the score is the same however long the network is trained."""
        return self.own_weights or ("prescribed_init" in self.options and options.prescribed_init)

    def mode(self, options: Options) -> str:
        """BN mode under these options."""
        return options.bn if self.bn and options.bn in self.modes else self.bn


_REGISTRY: dict[str, Proxy] = {}


def proxy(
    name: str,
    *,
    consumes: str,
    summary: str,
    bn: str = "",
    options: tuple[str, ...] = (),
    batch_option: str = "",
    batches: int = 1,
    extras: tuple[str, ...] = (),
    modes: tuple[str, ...] = BN_MODES,
    least_images: int = 1,
    own_weights: bool = False,
) -> Callable:
    """Decorator that registers a function under a name; arguments as the attributes of :class:`Proxy`.

    Raises:
        ValueError: the name is taken.
        InputError: it consumes what nothing gives.
    """
    if consumes not in CONSUMES:
        raise unknown("kind of input that a proxy consumes", consumes, CONSUMES)

    def register(compute: Callable[[Any], float]) -> Callable[[Any], float]:
        if name in _REGISTRY:
            raise ValueError(f"A proxy named {name!r} is registered already")
        _REGISTRY[name] = Proxy(
            name,
            consumes,
            bn,
            summary,
            compute,
            options,
            batch_option,
            batches,
            frozenset(extras),
            modes,
            least_images,
            own_weights,
        )
        return compute

    return register


def names(subject: str | None = "network") -> list[str]:
    """Names of the proxies of a subject, in the order of registration.

    Args:
        subject: a value of `CONSUMES`, one untrained network by default; None for every proxy.
    """
    return [name for name, entry in _REGISTRY.items() if subject in (None, entry.subject)]


def get(name: str) -> Proxy:
    """A proxy by name.

    Raises:
        InputError: there is none of that name.
    """
    if name not in _REGISTRY:
        raise unknown("proxy", name, _REGISTRY)
    return _REGISTRY[name]
