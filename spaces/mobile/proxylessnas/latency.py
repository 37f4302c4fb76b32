"""Latencies of ProxylessNAS networks on a phone, as published: a table of layers, and a linear model.

Both are a number for each choice of each layer on top of a constant, so 100,000 architectures take a moment.

* The table of ProxylessNAS (Cai et al. 2019; a Pixel 1, one thread): the mean milliseconds of every layer at its
  resolution, and of stem, head and classifier. A layer left out costs nothing. The table is for the channels of the
  flavour `search` and images of 224 pixels alone. Read from CSV or Parquet with columns `op` and `mean_ms`
  (`operation` and `ms` will do), whatever other rows there are; a layer has one value.
* The linear model of TuNAS (Bender et al. 2020; fitted to a Pixel 1), for the flavour `mobile`: JSON with `bias_ms` and
  the 144 coefficients `kernel_ms`, three for the kernel of the separable layer, then those of the 21 layers in the
  order of `strings.OPS`.

The two differ: 76.0 against 70.7 ms for the network of kernels 3 and expansions 3 alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from spaces.mobile.proxylessnas import network, strings
from spaces.mobile.proxylessnas.strings import CHOICES, KERNELS, OPS, SKIP, ProxylessNet, window
from tfnas import paths
from tfnas.errors import InputError

if TYPE_CHECKING:
    from etils import epath


class CodeSampler(Protocol):
    """A space that draws many architectures at once."""

    def sample_codes(self, rng: np.random.Generator, count: int) -> np.ndarray: ...


_SIDE = 224
_AT_ONCE = 200_000
# Draws after which a window counts as empty.
_MOST_DRAWS = 200_000_000


@dataclasses.dataclass(frozen=True)
class LayerLatencies:
    """Milliseconds by layer and choice.

    Attributes:
        constant: of what every network has, ms.
        first: of the separable layer: [3], in the order of `strings.KERNELS`.
        layers: of the others: [21, 7], in the order of `strings.OPS`; NaN where a block cannot begin with a skip.
        flavour: channels that they are for.
    """

    constant: float
    first: np.ndarray
    layers: np.ndarray
    flavour: str

    def of(self, archs: Sequence[ProxylessNet] | np.ndarray) -> np.ndarray:
        """Milliseconds of architectures, or of their codes [N, 22]: [N] float64."""
        codes = archs if isinstance(archs, np.ndarray) else strings.to_codes(archs)
        found = self.constant + self.first[codes[:, 0]]
        for layer, times in enumerate(self.layers, start=1):
            found += times[codes[:, layer]]
        return found

    def sample(
        self, space: CodeSampler, rng: np.random.Generator, count: int, low: float, high: float
    ) -> tuple[list[ProxylessNet], np.ndarray]:
        """Different architectures, uniform among those with a latency in a window, by rejection.

        Args:
            space: that they are drawn from.
            rng: of the draws.
            count: N.
            low: lower bound of the window in ms, within it.
            high: upper bound, within it.

        Returns:
            The architectures and their latencies [N].

        Raises:
            InputError: an empty window, or one that too few architectures lie in to be found by drawing.
        """
        if not low < high:
            raise InputError(f"A window of latencies goes from a lower to a higher one. Received: {low:g}, {high:g}")
        found = np.empty((0, 1 + len(CHOICES)), np.uint8)
        drawn = 0
        while len(found) < count:
            if drawn >= _MOST_DRAWS or (drawn >= 50 * _AT_ONCE and not len(found)):
                raise InputError(
                    f"Architectures of {low:g} to {high:g} ms. Received: {len(found)} in {drawn} draws. "
                    f"Allowed: a window with {count}"
                )
            codes = space.sample_codes(rng, _AT_ONCE)
            times = self.of(codes)
            found = np.concatenate([found, codes[(low <= times) & (times <= high)]])
            # In the order of the draws, so that fewer are the first of more.
            found = found[np.sort(np.unique(found, axis=0, return_index=True)[1])]
            drawn += len(codes)
        found = found[:count]
        return strings.from_codes(found), self.of(found)


def read(path: epath.PathLike) -> LayerLatencies:
    """The table or the model of a file: JSON is a linear model, all else a table.

    Raises:
        InputError: no such file, another kind of file, or a layer that it does not tell or tells several values of.
    """
    return read_model(path) if str(path).endswith(".json") else read_table(path)


def read_table(path: epath.PathLike) -> LayerLatencies:
    """The table of ProxylessNAS, for the flavour `search`; raises as :func:`read`."""
    from tfnas import tables

    frame = tables.read_any(path)[0]
    name, ms = ("op", "mean_ms") if "op" in frame.columns else ("operation", "ms")
    tables.require(frame.columns, (name, ms), path)
    if "resolution" in frame.columns:
        frame = frame[frame["resolution"] == _SIDE]
    times: dict[str, list[object]] = {}
    for key, value in zip(frame[name].astype(str), frame[ms], strict=True):
        times.setdefault(key, []).append(value)

    def look_up(key: str) -> float:
        told = times.get(key, ["none"])
        values = [_number(value) for value in told]
        for value, text in zip(values, told, strict=True):
            if not 0 <= value < np.inf:
                raise InputError(
                    f"{path} tells no milliseconds of a layer of ProxylessNAS. Received: {text}. Needed: {key}"
                )
        if len(several := sorted(set(values))) > 1:
            received = ", ".join(f"{value:g}" for value in several)
            raise InputError(f"{path} has several values of {ms} for {key}. Received: {received}. Allowed: one")
        return values[0]

    channels = network.CHANNELS["search"]
    side = _SIDE // 2
    constant = look_up(f"Conv-input:{_SIDE}x{_SIDE}x3-output:{side}x{side}x{channels.stem}")
    first = [look_up(_key(side, channels.stem, side, channels.first, 1, kernel, 1, False)) for kernel in KERNELS]
    layers = np.full((len(CHOICES), len(OPS)), np.nan)
    # Of channels, strides and residuals the operations say nothing.
    for index, layer in enumerate(network.layers(ProxylessNet((OPS[0],) * len(CHOICES)), channels)):
        after = side // layer.strides
        for code, op in enumerate(CHOICES[index]):
            if op == SKIP:
                layers[index, code] = 0
                continue
            kernel, expansion = window(op)
            layers[index, code] = look_up(
                _key(side, layer.inputs, after, layer.outputs, expansion, kernel, layer.strides, layer.residual)
            )
        side = after
    last = channels.widths[-1]
    constant += look_up(f"Conv_1-input:{side}x{side}x{last}-output:{side}x{side}x{channels.head}")
    constant += look_up(f"Logits-input:{side}x{side}x{channels.head}-output:1000")
    return LayerLatencies(constant, np.array(first), layers, "search")


def read_model(path: epath.PathLike) -> LayerLatencies:
    """The linear model of TuNAS, for the flavour `mobile`; raises as :func:`read`."""
    import json

    from etils import epath

    try:
        content = json.loads(epath.Path(paths.expand(str(path))).read_text())
        bias, kernel = float(content["bias_ms"]), np.array(content["kernel_ms"], np.float64)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"No linear model of latencies with bias_ms and kernel_ms. Received: {path}") from error
    wanted = len(KERNELS) + sum(map(len, CHOICES))
    if kernel.shape != (wanted,) or not np.isfinite([bias, *kernel]).all():
        raise InputError(f"{path}: kernel_ms must be finite numbers. Received: {kernel.shape}. Allowed: [{wanted}]")
    first, rest = kernel[: len(KERNELS)], kernel[len(KERNELS) :]
    layers = np.full((len(CHOICES), len(OPS)), np.nan)
    for index, ops in enumerate(CHOICES):
        layers[index, : len(ops)], rest = rest[: len(ops)], rest[len(ops) :]
    return LayerLatencies(bias, first, layers, "mobile")


def _number(value: object) -> float:
    """NaN for text and for a value that is missing."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan


def _key(
    side: int, inputs: int, after: int, outputs: int, expansion: int, kernel: int, strides: int, residual: bool
) -> str:
    """A layer as the published table names it."""
    return (
        f"expanded_conv-input:{side}x{side}x{inputs}-output:{after}x{after}x{outputs}-expand:{expansion}"
        f"-kernel:{kernel}-stride:{strides}-idskip:{int(residual)}"
    )
