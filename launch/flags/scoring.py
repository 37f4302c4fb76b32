"""The flags that say what training-free proxies score, and with which options."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import proxies
from launch import app
from launch.flags.networks import MOST_REPEATS, Networks, check_least, check_most
from launch.flags.predicting import is_predictor
from proxies.options import DTYPES, NTK_LOGITS
from tfnas.errors import InputError, unknown
from tfnas.networks.modes import PARAMETER_SETS


@dataclasses.dataclass(frozen=True)
class Scoring(Networks):
    """What is scored, with what, on what."""

    renamed: ClassVar[dict[str, str]] = {"kernel": "ntk_logits", "params": "ntk_params"}
    # What is looked at.
    subjects: ClassVar[tuple[str, ...]] = ("network", "ensemble")

    split: str = app.flag("train", "split of the data set, in the notation of TFDS")
    proxies: tuple[str, ...] = app.flag(
        ("all",),
        "names of proxies, separated by commas, or all that look at one untrained network; predictor:FILE for a "
        "predictor of launch.predict",
    )
    batch_size: int = app.flag(64, "images in the batch")
    repeats: int = app.flag(1, "independent initialisations of each architecture")
    bn: str = app.flag("", "batch normalisation: inference, example or batch (each proxy's own by default)")
    ntk_batch_size: int = app.flag(
        0, "images of the batch that the NTK proxies take, with one backward pass each (0: all)"
    )
    ntk_logits: str = app.flag(
        "sum_logits",
        "tangent kernel of the NTK proxies: of the sum of the logits, or summed over logits",
        choices=NTK_LOGITS,
    )
    ntk_params: str = app.flag("te_nas", "parameters the NTK proxies look at", choices=tuple(PARAMETER_SETS))
    prescribed_init: bool = app.flag(
        True, "Zen, SWAP and AZ-NAS draw weights and images of their own, as published; otherwise take --init and batch"
    )
    noise_repeats: int = app.flag(32, "draws that Zen and SWAP average over (32 as published)")
    synflow_kept_bn: tuple[str, ...] = app.flag(
        (), "prefixes of layers whose BN synflow keeps (zero-cost-nas: reduction)"
    )
    augment: bool = app.flag(
        False, "mirror and crop the images of the batch at random, with 4 pixels of padding, as zero-cost-nas does"
    )
    dtype: str = app.flag("float32", "of all arithmetic", choices=DTYPES)

    def check(self) -> None:
        """Everything that can be known to be wrong before the first score.

        Raises:
            InputError: for any of it.
        """
        check_least(self, batch_size=1, ntk_batch_size=0, repeats=1, noise_repeats=1)
        check_most(self, repeats=MOST_REPEATS)
        self.names()
        super().check()
        self.options()
        available = self.split_size(self.split)
        if self.batch_size > available:
            raise InputError(
                f"The batch is larger than the split. Received: {self.batch_size}. "
                f"{self.dataset}/{self.split} has {available} examples"
            )

    def names(self, subject: str = "network") -> list[str]:
        """Proxies asked for that score one subject, and those always scored, in the order of the registry.

        Raises:
            InputError: none, an unknown one, or one whose subject is none of `subjects`.
        """
        alone = proxies.names()
        every = [name for kind in self.subjects for name in proxies.names(kind)]
        if not self.proxies:
            raise InputError(f"--proxies is empty. Allowed: all, {', '.join(every)}")
        wanted = set(alone if "all" in self.proxies else ()) | (set(self.proxies) - {"all", *self.predictors()})
        for name in sorted(wanted - set(every)):
            if name in proxies.names(None):
                raise InputError(
                    f"Not every proxy can be computed here. Received: --proxies={name}, which consumes "
                    f"{proxies.get(name).consumes}. Allowed: all, {', '.join(every)}"
                )
            raise unknown("proxy (--proxies)", name, ("all", *every))
        if subject == "network" and wanted & set(alone):
            wanted |= set(proxies.SIZES)
        return [name for name in proxies.names(subject) if name in wanted]

    def predictors(self) -> list[str]:
        """Those of the proxies that are predictors in files, "predictor:FILE", each once."""
        return list(dict.fromkeys(filter(is_predictor, self.proxies)))

    def images(self, name: str) -> int:
        """Images of the batch that a proxy takes."""
        option = proxies.get(name).batch_option
        return min(getattr(self, option) or self.batch_size, self.batch_size) if option else self.batch_size

    def blind(self) -> list[str]:
        """Proxies asked for that cannot tell networks apart by so few images."""
        return [name for name in self.names() if self.images(name) < proxies.get(name).least_images]

    def options(self, seed: int = 0) -> proxies.Options:
        """The options of the proxies."""
        known = proxies.Options.__dataclass_fields__
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(Scoring) if field.name in known}
        return proxies.Options(**given | {"bn": self.bn or None, "seed": seed, "init": self.scheme()})
