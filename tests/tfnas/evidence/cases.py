"""Scores and truths that go together, and every statistic of them by other people's code."""

import numpy as np
import pandas as pd
from scipy import stats
from sklearn import metrics


def draw(seed, n=40, ties=True):
    """Score and truth that go together somewhat; rounded, so that both have ties."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    score = truth + rng.normal(size=n)
    return (np.round(score), np.round(truth, 1)) if ties else (score, truth)


def order(values, ties=None):
    """From the best on; of equal ones, the first or that of the lowest key."""
    ties = range(len(values)) if ties is None else ties
    return sorted(range(len(values)), key=lambda i: (-values[i], ties[i]))


# Of a score x, a truth y and the keys of `order` that break the ties of each.
SLOW = {
    "kendall": lambda x, y, ties: stats.kendalltau(x, y).statistic,
    "spearman": lambda x, y, ties: stats.spearmanr(x, y).statistic,
    "pearson": lambda x, y, ties: stats.pearsonr(x, y).statistic,
    "discovered": lambda x, y, ties: max(y[i] for i in order(x, ties[0])[:5]),
    "pqetp_0.3": lambda x, y, ties: metrics.roc_auc_score(y > 0.3, x),
    "top40_common": lambda x, y, ties: len(set(order(x, ties[0])[:12]) & set(order(y, ties[1])[:12])) / 12,
    "top40_spearman": lambda x, y, ties: stats.spearmanr(*(v[order(y, ties[1])[:12]] for v in (x, y))).statistic,
}


def long(rows, columns=("arch", "proxy", "score")):
    return pd.DataFrame(rows, columns=list(columns))
