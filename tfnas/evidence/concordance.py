"""Concordant pairs of networks that count several times."""

from __future__ import annotations

import numpy as np

# Larger products of matrices go to several threads, which wait for each other longer than they work.
_MULTIPLY_ADDS = 2**18
_LARGEST_BLOCK = 128


class Concordance:
    """Counts pairs that two orders of n networks agree on, for any number of copies of each.

    Both orders are cut into blocks. Pairs within a block of either order are compared one by one, in matrix products;
    of all others only the number in each pair of blocks matters, and these numbers form a small table.

    Args:
        score: [n].
        truth: [n]. Ties of one are ordered by the other, and ties of both by their place: they count as concordant.
    """

    def __init__(self, score: np.ndarray, truth: np.ndarray) -> None:
        from scipy import sparse

        n = len(score)
        size = self._size = min(_LARGEST_BLOCK, max(1, round(2 * n**0.5)))
        blocks = self._blocks = -(-n // size)
        orders = np.lexsort((truth, score)), np.lexsort((score, truth))
        ranks = [np.argsort(order) for order in orders]
        # In blocks of equal size, the last one filled up with a network that is never there, the last of both orders.
        self._orders = [np.append(order, np.full(blocks * size - n, n)).reshape(blocks, size) for order in orders]
        first, second = (np.append(rank, n)[order] for rank, order in zip(ranks[::-1], self._orders, strict=True))
        ahead = np.triu(np.ones((size, size), bool), 1)
        self._agree = [(place[:, :, None] < place[:, None, :]) & ahead for place in (first, second)]
        # Pairs that share a block of either order are counted in the first.
        self._agree[1] &= second[:, :, None] // size != second[:, None, :] // size
        self._agree = [agree.astype(np.float32) for agree in self._agree]
        cells = ranks[0] // size * blocks + ranks[1] // size
        self._cells = sparse.csr_array((np.ones(n, np.float32), (cells, np.arange(n))), shape=(blocks**2, n))

    def pairs(self, counts: np.ndarray) -> np.ndarray:
        """Number of concordant pairs of copies of different networks: [b].

        Args:
            counts: float32 [b, n], whole numbers.
        """
        rows = max(1, _MULTIPLY_ADDS // self._size**2)
        parts = [self._some(counts[start : start + rows]) for start in range(0, len(counts), rows)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _some(self, counts: np.ndarray) -> np.ndarray:
        found = np.zeros(len(counts))
        padded = np.pad(counts, ((0, 0), (0, 1)))
        for order, agree in zip(self._orders, self._agree, strict=True):
            some = np.moveaxis(padded[:, order], 1, 0)
            # Single precision holds the whole numbers of both factors, not of their sum.
            found += np.einsum("kbi,kbi->b", some @ agree, some, dtype=np.float64)
        # Resamples last: sums then run along all of them at a time.
        cells = np.ascontiguousarray(self._cells @ counts.T).reshape(self._blocks, self._blocks, -1)
        before = cells.copy()
        for block in range(1, self._blocks):
            before[block] += before[block - 1]
        for block in range(1, self._blocks):
            before[:, block] += before[:, block - 1]
        # Of each cell, all in earlier blocks of both orders.
        return found + np.einsum("ijb,ijb->b", before[:-1, :-1], cells[1:, 1:], dtype=np.float64)
