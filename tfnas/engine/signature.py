"""What goes into kernels and what comes out of them, as types; and their flat form, which compiled functions take.

A kernel is a function (layers, variant, arguments...) -> result. Layers and variant are traced into it; arguments and
result are tensors in nested tuples, most of them the named ones below. None stands for what is not there. Nobody else
knows in which order a compiled kernel takes its tensors.

Where a tuple has an entry for each layer of the chain, a layer that has no such thing has None.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

from tfnas.engine.reducers import Reducer

Tensor = Any


# Variants ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Variant:
    """What is traced into a kernel besides the chain.

    Attributes:
        bn: one of `tfnas.networks.modes.BN_MODES`.
        jit: compile with XLA.
    """

    bn: str
    jit: bool = False


@dataclasses.dataclass(frozen=True)
class ForwardVariant(Variant):
    """Attributes:
    save: "all" that derivatives need, the "statistics" of BN alone, or "nothing", with which TensorFlow fuses a
        convolution with its bias and ReLU.
    codes: whether to count where the codes of ReLUs agree.
    """

    save: str = "all"
    codes: bool = False


@dataclasses.dataclass(frozen=True)
class BackwardVariant(Variant):
    """Attributes:
    params: names of the parameters whose gradients are wanted.
    reducer: what becomes of per-example gradients; None: gradients are summed over the batch.
    fisher: whether the Fisher saliency of the kernel layer is wanted.
    keep: whether the derivatives inside the chain are wanted, which the tangent of this pass needs.
    input_gradient: whether the cotangents of the inputs are wanted.
    """

    params: tuple[str, ...] = ()
    reducer: Reducer | None = None
    fisher: bool = False
    keep: bool = False
    input_gradient: bool = True


@dataclasses.dataclass(frozen=True)
class BackwardTangentVariant(Variant):
    """Attributes:
    dot: whether to give the product with the kernel in place of the tangent of its gradient.
    input_gradient: whether the tangents of the inputs' cotangents are wanted.
    """

    dot: bool = False
    input_gradient: bool = True


# Arguments and results -----------------------------------------------------------------------------------------------


class Params(NamedTuple):
    """Parameters of one layer, or their gradients."""

    kernel: Tensor | None = None
    bias: Tensor | None = None
    gamma: Tensor | None = None
    beta: Tensor | None = None
    moving_mean: Tensor | None = None
    moving_variance: Tensor | None = None


class Statistics(NamedTuple):
    """Mean and biased variance by which a BN layer normalises; broadcastable to its input, or [C]."""

    mean: Tensor
    variance: Tensor


class Saved(NamedTuple):
    """What a forward kernel saves, so that derivative kernels need not compute it again.

    Attributes:
        output: of the kernel layer.
        statistics: by layer; None also where they are the moving ones.
    """

    output: Tensor | None
    statistics: tuple[Statistics | None, ...]


class ChainRun(NamedTuple):
    """A chain on one batch: all that its derivatives depend on.

    Attributes:
        inputs: what its first layer reads.
        params: by layer.
        saved: by the forward kernel.
    """

    inputs: tuple[Tensor, ...]
    params: tuple[Params | None, ...]
    saved: Saved


class Inner(NamedTuple):
    """Derivatives inside a chain, tangents or cotangents.

    Attributes:
        output: of the output of the kernel layer.
        slopes: by layer; what :meth:`tfnas.engine.normalization.Normalized.project` gives besides the product.
    """

    output: Tensor | None
    slopes: tuple[Tensor | None, ...]


class Pulled(NamedTuple):
    """A backward pass at one chain: the cotangent of its output, and those inside."""

    cotangent: Tensor
    inner: Inner


class ForwardResult(NamedTuple):
    """Attributes:
    output: of the chain.
    saved: what the variant asks for.
    codes: counts [N, N] of ReLUs behind the first layer.
    """

    output: Tensor
    saved: Saved
    codes: Tensor | None


class BackwardResult(NamedTuple):
    """Attributes:
    inputs: their cotangents; empty if not asked for.
    params: by layer, gradients summed over the batch; empty where there is a reducer, or none is asked for.
    reduced: what the reducer makes of all per-example gradients.
    fisher: saliency of the kernel layer.
    inner: cotangents inside the chain.
    """

    inputs: tuple[Tensor, ...]
    params: tuple[Params | None, ...]
    reduced: Tensor | None
    fisher: Tensor | None
    inner: Inner | None


class TangentResult(NamedTuple):
    """Tangents of a chain's output and inside the chain."""

    output: Tensor | None
    inner: Inner


class BackwardTangentResult(NamedTuple):
    """Attributes:
    inputs: tangents of their cotangents; empty if not asked for.
    kernel: tangent of the kernel's gradient, or its product with the kernel.
    """

    inputs: tuple[Tensor, ...]
    kernel: Tensor | None


# The flat form -------------------------------------------------------------------------------------------------------


def flatten(value: Any, leaves: list[Tensor | None] | None = None) -> list[Tensor | None]:
    """Tensors of nested tuples in order, None where there is none; appended to `leaves` if given."""
    leaves = [] if leaves is None else leaves
    if isinstance(value, tuple):
        for part in value:
            flatten(part, leaves)
    else:
        leaves.append(value)
    return leaves


def unflatten(like: Any, tensors: Iterator[Tensor]) -> Any:
    """Nested tuples as in `like`, with these in the place of its tensors."""
    if like is None:
        return None
    if not isinstance(like, tuple):
        return next(tensors)
    parts = [unflatten(part, tensors) for part in like]
    return like._make(parts) if hasattr(like, "_make") else tuple(parts)
