"""Empirical neural tangent kernels, accumulated layer by layer.

Where examples do not see one another the Jacobian [N, C, P] is never held. Where BN couples them each row is a pass of
its own, and the rows of two blocks of examples are held at a time. Blocks are as large as memory allows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from tfnas import memory
from tfnas.engine.network import Forward, Network
from tfnas.engine.reducers import Gram
from tfnas.errors import unknown

TANGENT_KERNELS = ("sum_logits", "trace", "full")


def block_slices(count: int, block: int) -> list[slice]:
    """Slices that cut `count` examples into blocks; one for all where `block` is 0."""
    block = block or count
    return [slice(start, min(start + block, count)) for start in range(0, count, block)]


def tangent_kernel(
    network: Network, images: np.ndarray, bn: str, *, kernel: str = "sum_logits", params: str = "all", block: int = 0
) -> np.ndarray:
    """Gram matrix of the per-example gradients of the logits, in float64.

    Args:
        network: what is differentiated.
        images: [N, H, W, C].
        bn: BN mode. In mode "batch" the gradients flow through the shared statistics, so example i also moves the
            others' gradients, and every row costs a backward pass.
        kernel: "sum_logits": g_i is the gradient of the sum of example i's logits, [N, N]; "trace": the same summed
            over single logits, [N, N]; "full": all pairs of (example, logit), [N C, N C], logits fastest.
        params: "kernels", "te_nas" or "all".
        block: examples whose gradients are held at once, at most (0: all). The result does not depend on it.

    Raises:
        InputError: an unknown kernel.
        MemoryError: the gradients of two examples do not fit.
    """
    if kernel not in TANGENT_KERNELS:
        raise unknown("tangent kernel", kernel, TANGENT_KERNELS)
    compute = _coupled_gram if network.couples_examples(bn) else _independent_gram
    return compute(network, np.asarray(images), bn, kernel, params, block)


def _cotangents(kernel: str, classes: int) -> np.ndarray:
    """Cotangents of one example's logits, [passes, classes]."""
    return np.ones((1, classes)) if kernel == "sum_logits" else np.eye(classes)


def _independent_gram(
    network: Network, images: np.ndarray, bn: str, kernel: str, params: str, block: int
) -> np.ndarray:
    """Examples do not see one another: one pass gives the gradients of a block, the Gram matrix inside the kernels."""
    count, classes = len(images), network.graph.num_classes
    cotangents = _cotangents(kernel, classes)
    if kernel == "full":
        # Every (example, logit) pair becomes an example of its own.
        images = np.repeat(images, classes, axis=0)
        cotangents = np.tile(cotangents, (count, 1))[:, None, :]
    else:
        cotangents = np.broadcast_to(cotangents, (count, *cotangents.shape))
    each = network.footprint.examples(Gram(), len(images))
    block = _fitting_block(len(images), block, 16 * len(images) ** 2, each)
    gram = np.zeros((len(images), len(images)))
    slices = block_slices(len(images), block)
    for first, second in itertools.combinations_with_replacement(slices, 2):
        if first == second and len(slices) > 1:
            continue  # the diagonal comes with the pairs
        members = np.unique(np.r_[first, second])
        gram[np.ix_(members, members)] = _gram_of(network, images[members], bn, cotangents[members], params, Gram())
    return gram


def _fitting_block(count: int, wanted: int, fixed: int, each: int) -> int:
    """Examples in a block: all, or as many as wanted, or as many as fit twice, for blocks meet in pairs."""
    wanted = min(wanted or count, count)
    most = count if wanted == count else 2 * wanted
    fitting = memory.block(most, fixed, each, "gradients of single images")
    return wanted if fitting >= most else max(1, fitting // 2)


def _gram_of(
    network: Network, images: np.ndarray, bn: str, cotangents: np.ndarray, params: str, gram: Gram
) -> np.ndarray:
    """Sum over passes of the Gram matrices of gradients, cotangents [N, passes, classes]."""
    run = network.forward(images, bn, dead_branches=False)
    total = None
    for i in range(cotangents.shape[1]):
        by_chain = network.example_gradients(run, cotangents[:, i], gram, params=params)
        one = sum(value.numpy() for value in by_chain.values())
        if total is None:
            total = one
        else:
            total += one  # in place: one matrix a logit would be many
    return total


def _coupled_gram(network: Network, images: np.ndarray, bn: str, kernel: str, params: str, block: int) -> np.ndarray:
    """Examples share statistics: one backward pass a row, rows held for two blocks of examples at a time."""
    count = len(images)
    run = network.forward(images, bn, dead_branches=False)
    cotangents = _cotangents(kernel, network.graph.num_classes)
    per_example = len(cotangents) if kernel == "full" else 1
    # Rows in the network's precision; products of one parameter after the other in float64.
    footprint = network.footprint
    fixed = 16 * (count * per_example) ** 2 + count * footprint.backward + 2 * footprint.parameters
    block = _fitting_block(count, block, fixed, per_example * (footprint.parameters + 16 * footprint.widest))
    gram = np.zeros((count * per_example,) * 2)
    # "full" takes all logits of an example as rows of one matrix, the others sum the matrices of single cotangents.
    groups = [cotangents] if kernel == "full" else [cotangent[None] for cotangent in cotangents]
    for group in groups:
        for first, second, rows, others in _row_blocks(network, run, group, params, block_slices(count, block)):
            span = [slice(s.start * per_example, s.stop * per_example) for s in (first, second)]
            for key in sorted(rows):  # a fixed order, or the last bits would depend on the process
                left = rows[key].astype(np.float64, copy=False)
                right = left if others is rows else others[key].astype(np.float64, copy=False)
                product = left @ right.T
                gram[span[0], span[1]] += product
                if first != second:
                    gram[span[1], span[0]] += product.T
            del rows, others  # or three blocks would be held while the next is computed
    return gram


def _row_blocks(network: Network, run: Forward, group: np.ndarray, params: str, slices: list[slice]) -> Iterator[tuple]:
    for i, first in enumerate(slices):
        rows = _rows(network, run, group, params, first)
        yield first, first, rows, rows
        for second in slices[i + 1 :]:
            yield first, second, rows, _rows(network, run, group, params, second)


def _rows(network: Network, run: Forward, group: np.ndarray, params: str, examples: slice) -> dict[str, np.ndarray]:
    """Gradients [examples * cotangents, size] of each parameter."""
    rows: dict[str, np.ndarray] = {}
    count = (examples.stop - examples.start) * len(group)
    for i in range(count):
        example, one = divmod(i, len(group))
        cotangent = np.zeros((run.batch, group.shape[1]))
        cotangent[examples.start + example] = group[one]
        for key, value in network.gradients(run, cotangent, params=params).params.items():
            row = value.numpy().ravel()
            if key not in rows:
                rows[key] = np.empty((count, row.size), row.dtype)
            rows[key][i] = row
    return rows


def train_val_kernels(
    network: Network, train: np.ndarray, val: np.ndarray, bn: str, *, kernel: str, block: int
) -> tuple[np.ndarray, np.ndarray]:
    """Kernels [n_train, n_train] and [n_val, n_train] of inference, without that of validation images among themselves.

    Args:
        network: what is differentiated, by all its parameters.
        train: images [n_train, H, W, C].
        val: images [n_val, H, W, C].
        bn: BN mode in which examples do not see one another.
        kernel: "sum_logits" or "trace", as in :func:`tangent_kernel`.
        block: validation images whose gradients are held at once, at most, beside those of all training images.

    Raises:
        MemoryError: the gradients of the training images and one more do not fit.
    """
    count = len(train)
    cotangents = _cotangents(kernel, network.graph.num_classes)
    # Products in the precision of the gradients cost a fourth, and their round-off is far below that of a ridge.
    gram = Gram(anchors=count, exact=False)
    each = network.footprint.examples(gram, count)
    fixed = count * each + 16 * count * (count + len(val))
    block = memory.block(min(block, len(val)), fixed, each, f"gradients of each of {count} training images")
    rows = []
    for part in block_slices(len(val), block):
        images = np.concatenate([train, val[part]])
        of_each = np.broadcast_to(cotangents, (len(images), *cotangents.shape))
        rows.append(_gram_of(network, images, bn, of_each, "all", gram))
    return rows[0][:, :count], np.concatenate([row[:, count:].T for row in rows])
