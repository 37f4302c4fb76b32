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


def order(values):
    return sorted(range(len(values)), key=lambda i: -values[i])


SLOW = {
    "kendall": lambda x, y: stats.kendalltau(x, y).statistic,
    "spearman": lambda x, y: stats.spearmanr(x, y).statistic,
    "pearson": lambda x, y: stats.pearsonr(x, y).statistic,
    "discovered": lambda x, y: max(y[i] for i in order(x)[:5]),
    "pqetp_0.3": lambda x, y: metrics.roc_auc_score(y > 0.3, x),
    "top40_common": lambda x, y: len(set(order(x)[:12]) & set(order(y)[:12])) / 12,
    "top40_spearman": lambda x, y: stats.spearmanr(x[order(y)[:12]], y[order(y)[:12]]).statistic,
}


def long(rows, columns=("arch", "proxy", "score")):
    return pd.DataFrame(rows, columns=list(columns))
