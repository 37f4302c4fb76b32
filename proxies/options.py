"""Settings that change scores. Nothing here imports TensorFlow."""

from __future__ import annotations

import dataclasses

from tfnas.errors import InputError, unknown
from tfnas.inference import REGULARIZERS
from tfnas.networks.modes import BN_MODES, PARAMETER_SETS

NTK_LOGITS = ("sum_logits", "trace")
DTYPES = ("float32", "float64")
# Names of earlier versions.
RENAMED = {"kernel": "ntk_logits", "params": "ntk_params", "block": "block_size"}


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings that change scores. The defaults are those of the papers.

    Attributes:
        bn: BN mode ("inference": moving statistics; "example": each example by its own; "batch") of the proxies that
            make sense in it (`Proxy.modes`); all others, and all with None, keep their published mode.
        ntk_logits: tangent kernel of the NTK proxies: "sum_logits" (of the sum of all logits) or "trace" (summed over
            logits).
        ntk_params: parameters that the NTK proxies differentiate by: "kernels", "te_nas" (kernels and BN gammas) or
            "all".
        ntk_batch_size: how many images of the batch the NTK proxies use (0: all). In BN mode "batch" they need one
            backward pass for each.
        seed: of the noise images and cotangents that some proxies draw, and of the members of ensembles.
        prescribed_init: whether proxies that are published with an initialisation of their own (Zen, SWAP, AZ-NAS)
            draw such weights; otherwise every proxy looks at the weights it is given.
        noise_repeats: over how many draws Zen and SWAP average.
        synflow_kept_bn: prefixes of BN layers that synflow leaves in ("reduction" is what zero-cost-nas does).
        n_train, n_val: images of the batch that train and validate inference (`nngp`, `ntk`): the first and the next.
        ensemble: networks whose kernels inference averages.
        regularizers: of inference, relative to the mean eigenvalue of the kernel; the best counts.
        init: scheme of the weights that the members of an ensemble draw, one of `tfnas.networks.weights.SCHEMES`.
        block_size: examples whose gradients or features are held at once (0: all); bounds memory, changes no score.
        dtype: "float32" or "float64".
        jit: compile kernels with XLA.
    """

    bn: str | None = None
    ntk_logits: str = "sum_logits"
    ntk_params: str = "te_nas"
    ntk_batch_size: int = 0
    seed: int = 0
    prescribed_init: bool = False
    noise_repeats: int = 32
    synflow_kept_bn: tuple[str, ...] = ()
    n_train: int = 100
    n_val: int = 500
    ensemble: int = 1
    regularizers: tuple[float, ...] = REGULARIZERS
    init: str = "torch"
    block_size: int = 0
    dtype: str = "float32"
    jit: bool = False

    def __post_init__(self) -> None:
        allowed = {
            "bn": (None, *BN_MODES),
            "ntk_logits": NTK_LOGITS,
            "ntk_params": tuple(PARAMETER_SETS),
            "dtype": DTYPES,
        }
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise unknown(name, getattr(self, name), values)
        least = {"noise_repeats": 1, "ntk_batch_size": 0, "block_size": 0, "n_train": 1, "n_val": 1, "ensemble": 1}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise InputError(f"{name} must be at least {bound}. Received: {getattr(self, name)}")


def make_options(**options: object) -> Options:
    """Options from keywords.

    Raises:
        InputError: one that there is not, or one of an earlier version, with its present name.
    """
    for name in options:
        if name in RENAMED:
            raise InputError(f"The option {name} has another name now: {RENAMED[name]}")
    known = Options.__dataclass_fields__
    if odd := sorted(set(options) - set(known)):
        raise InputError(f"Unknown options of proxies. Received: {', '.join(odd)}. Allowed: {', '.join(known)}")
    return Options(**options)


def calibration_size(n_train: int) -> int:
    """Images that move the BN statistics: the paper's 250, or 100 where no more than 100 train."""
    return 100 if n_train <= 100 else 250
