"""Products of Hessians with directions: tangents run through the network and through its backward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfnas import memory
from tfnas.engine import kernels, second_order, walk
from tfnas.engine.network import Forward, Gradients, Network
from tfnas.engine.plan import Chain
from tfnas.engine.signature import BackwardTangentVariant, Inner, TangentResult, Variant

Tensor = Any


def hessian_product(
    network: Network,
    run: Forward,
    gradients: Gradients,
    direction: Mapping[str, Any],
    curvature: Callable[[Tensor], Tensor],
    *,
    dot: bool = False,
) -> dict[str, Tensor]:
    """Product of the Hessian of a loss (by the kernels) with a direction.

    Forward-over-reverse: tangents run forward once and the tangent of the backward pass runs back once, each as chains
    of cached kernels, so the cost is about two gradients whatever the direction.

    Args:
        network: what is differentiated.
        run: its forward pass.
        gradients: of the loss, with `keep`, by the kernels at least.
        direction: by "<node>.kernel"; missing: zeros.
        curvature: maps the tangent of the logits to the tangent of their cotangent, both [N, classes].
        dot: give <kernel, Hv> of each kernel instead of Hv, for two convolutions a layer less.

    Returns:
        Hv (or its products) by "<node>.kernel"; missing keys are zeros.
    """
    if gradients.pulled is None:
        raise ValueError("The backward pass kept nothing for Hessian products: run it with keep=True")
    footprint = network.footprint
    size = run.batch * (footprint.inner + 2 * footprint.backward) + 3 * footprint.parameters
    memory.require(size, f"second derivatives of {run.batch} images")
    us, inner = _tangents(network, run, direction)
    if us[network.graph.output] is None:  # no kernel moves the logits
        return {}
    product: dict[str, Tensor] = {}
    source = network.graph.nodes[0].name

    def pull(chain: Chain, dy_dot: Tensor) -> Sequence[Tensor]:
        kernel = f"{chain.kernel_node}.kernel" if chain.kernel_node else ""
        variant = BackwardTangentVariant(run.bn, network.jit, dot, chain.inputs != (source,))
        result = kernels.call(
            second_order.backward_tangent,
            chain.layers,
            variant,
            network.chain_run(chain, run),
            network.filled(chain.inputs, us, run.batch),
            inner[chain.output],
            gradients.pulled[chain.output],
            _of_kernel(network, direction, kernel) if kernel else None,
            _of_kernel(network, gradients.params, kernel) if kernel and dot else None,
            dy_dot,
        )
        if kernel:
            product[kernel] = result.kernel
        return result.inputs

    walk.pull_back(network.chains, network.graph.output, curvature(us[network.graph.output]), source, pull)
    return product


def _tangents(
    network: Network, run: Forward, direction: Mapping[str, Any]
) -> tuple[dict[str, Tensor | None], dict[str, Inner]]:
    """Tangents of all values when the kernels move along `direction`, and those inside chains.

    Only chains through which the loss is differentiated move; None stands for zeros.
    """
    us: dict[str, Tensor | None] = {network.graph.nodes[0].name: None}
    inner: dict[str, Inner] = {}
    for chain in network.chains:
        inputs = [us[name] for name in chain.inputs]
        if chain.output not in network.live:
            us[chain.output] = None
        elif chain.is_alias:
            us[chain.output] = walk.alias_output(chain, inputs)
        else:
            us[chain.output], inner[chain.output] = _chain_tangent(network, run, chain, us, direction)
    return us, inner


def _chain_tangent(
    network: Network, run: Forward, chain: Chain, us: Mapping[str, Tensor | None], direction: Mapping[str, Any]
) -> TangentResult:
    kernel = chain.kernel_node
    if not kernel and not any(run.saved[chain.output].statistics) and all(us[name] is None for name in chain.inputs):
        return TangentResult(None, Inner(None, (None,) * len(chain.layers)))
    return kernels.call(
        second_order.tangent,
        chain.layers,
        Variant(run.bn, network.jit),
        network.chain_run(chain, run),
        network.filled(chain.inputs, us, run.batch),
        _of_kernel(network, direction, f"{kernel}.kernel") if kernel else None,
    )


def _of_kernel(network: Network, values: Mapping[str, Any], key: str) -> Tensor:
    """Zeros where a kernel has no entry."""
    value = values.get(key)
    return tf.zeros_like(network.weights[key]) if value is None else tf.convert_to_tensor(value, network.dtype)
