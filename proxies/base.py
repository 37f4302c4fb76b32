"""What a proxy is, and the registry of all of them. Nothing here imports TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from tfnas.errors import InputError, unknown

if TYPE_CHECKING:
    from proxies.passes import Passes

KERNELS = ("sum_logits", "trace")
PARAMETER_SETS = ("kernels", "te_nas", "all")
BN_MODES = ("inference", "example", "batch")


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings that change scores. The defaults are those of the papers.

    Attributes:
        bn: BN mode ("inference": moving statistics; "example": each example by its own; "batch") of the proxies that
            make sense in it (`Proxy.modes`); all others, and all with None, keep their published mode.
        kernel: tangent kernel of the NTK proxies: "sum_logits" (of the sum of all logits) or "trace" (summed over
            logits).
        params: parameters that the NTK proxies differentiate by: "kernels", "te_nas" (kernels and BN gammas) or "all".
        seed: of the noise images and cotangents that some proxies draw.
        prescribed_init: whether proxies that are published with an initialisation of their own (Zen, SWAP, AZ-NAS)
            draw such weights; otherwise every proxy looks at the weights it is given.
        noise_repeats: over how many draws Zen and SWAP average.
        ntk_batch_size: how many images of the batch the NTK proxies use (0: all). In BN mode "batch" they need one
            backward pass for each.
        block: examples whose gradients are held at once (0: all); bounds memory, changes no score.
        synflow_kept_bn: prefixes of BN layers that synflow leaves in ("reduction" is what zero-cost-nas does).
        tenas_compat: let NCN return the negative or huge condition numbers of singular kernels, as TE-NAS' code does,
            instead of -inf.
        dtype: "float32" or "float64".
        jit: compile kernels with XLA.
    """

    bn: str | None = None
    kernel: str = "sum_logits"
    params: str = "te_nas"
    seed: int = 0
    prescribed_init: bool = False
    noise_repeats: int = 32
    ntk_batch_size: int = 0
    block: int = 0
    synflow_kept_bn: tuple[str, ...] = ()
    tenas_compat: bool = False
    dtype: str = "float32"
    jit: bool = False

    def __post_init__(self) -> None:
        allowed = {
            "bn": (None, *BN_MODES),
            "kernel": KERNELS,
            "params": PARAMETER_SETS,
            "dtype": ("float32", "float64"),
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise unknown(name, getattr(self, name), values)
        for name, least in (("noise_repeats", 1), ("ntk_batch_size", 0), ("block", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}. Received: {getattr(self, name)}")


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
    """A score of an untrained network; higher always is better.

    Attributes:
        name: in the registry.
        consumes: "nothing", "activations", "gradients" (of one batch), "example gradients", "second order".
        bn: published BN mode, "" where none matters.
        extras: what shared passes must also collect: "codes", "fisher", "hessian".
        summary: one line for people.
        compute: Passes -> score.
        modes: BN modes that make sense; where another is asked for, the published one is used.
    """

    name: str
    consumes: str
    bn: str
    summary: str
    compute: Callable[[Passes], float]
    extras: frozenset[str] = frozenset()
    modes: tuple[str, ...] = BN_MODES

    def mode(self, options: Options) -> str:
        """BN mode under these options."""
        return options.bn if self.bn and options.bn in self.modes else self.bn


_REGISTRY: dict[str, Proxy] = {}


def proxy(
    name: str,
    *,
    consumes: str,
    bn: str = "",
    summary: str,
    extras: tuple[str, ...] = (),
    modes: tuple[str, ...] = BN_MODES,
) -> Callable:
    """Decorator that registers a function Passes -> float under a name.

    Raises:
        ValueError: the name is taken.
    """

    def register(compute: Callable[[Passes], float]) -> Callable[[Passes], float]:
        if name in _REGISTRY:
            raise ValueError(f"A proxy named {name!r} is registered already")
        _REGISTRY[name] = Proxy(name, consumes, bn, summary, compute, frozenset(extras), modes)
        return compute

    return register


def names() -> list[str]:
    """Names of all proxies, in the order of registration."""
    return list(_REGISTRY)


def get(name: str) -> Proxy:
    """A proxy by name.

    Raises:
        InputError: there is none of that name.
    """
    if name not in _REGISTRY:
        raise unknown("proxy", name, _REGISTRY)
    return _REGISTRY[name]
