"""Compiled kernels, traced once per signature and kept for the life of the process.

The signature is the kernel's function, the chain's layers, the variant, and the shapes and types of the arguments,
whatever the number of networks: weights are arguments, never constants, and no Keras object is involved.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfnas.engine.plan import Layers
from tfnas.engine.signature import Variant, flatten, unflatten

Tensor = Any

_CACHE: dict[tuple, Callable[[list[Tensor]], Any]] = {}


def call(function: Callable, layers: Layers, variant: Variant, *arguments: Any) -> Any:
    """The result function(layers, variant, *arguments) by a compiled kernel, traced if it is new.

    Args:
        function: of `tfnas.engine.first_order` or `second_order`.
        layers: the chain.
        variant: what is asked of the kernel.
        *arguments: tensors in nested tuples.
    """
    leaves = flatten(arguments)
    key = (function, layers, variant, *(None if leaf is None else (leaf.shape, leaf.dtype) for leaf in leaves))
    kernel = _CACHE.get(key)
    if kernel is None:
        kernel = _CACHE[key] = _trace(function, layers, variant, arguments)
    return kernel([leaf for leaf in leaves if leaf is not None])


def cache_size() -> int:
    """Number of kernels traced so far in this process."""
    return len(_CACHE)


def _trace(
    function: Callable, layers: Layers, variant: Variant, arguments: tuple[Any, ...]
) -> Callable[[list[Tensor]], Any]:
    specs = [tf.TensorSpec(leaf.shape, leaf.dtype) for leaf in flatten(arguments) if leaf is not None]
    arguments_form, form = unflatten(arguments, itertools.repeat(True)), None

    def flat(*tensors: Tensor) -> list[Tensor]:
        nonlocal form
        result = function(layers, variant, *unflatten(arguments_form, iter(tensors)))
        form = unflatten(result, itertools.repeat(True))
        return [leaf for leaf in flatten(result) if leaf is not None]

    traced = tf.function(flat, autograph=False, jit_compile=variant.jit or None).get_concrete_function(*specs)
    if variant.jit:
        return lambda tensors: unflatten(form, iter(traced(*tensors)))
    dtypes = [output.dtype for output in traced.outputs]
    # A call through the function's op costs a fourth of the checks and bindings of a Python call.
    return lambda tensors: unflatten(form, iter(tf.raw_ops.PartitionedCall(args=tensors, Tout=dtypes, f=traced)))
