"""From scores of architectures and their known performance to a table of how well each proxy ranks.

Scores come as a long frame with columns `arch`, `proxy`, `score` and, if there, `status` and the settings of
`tfnas.runs.records`. Repeats of a network (initialisations, seeds) are averaged first. Whatever cannot be ranked is
left out and counted with its reason: a score that is not a number, a status other than "ok", an architecture without a
known performance. -inf and +inf are scores: the lowest and the highest rank.
"""

from tfnas.evidence.ranking import GROUP, average, correlate, evaluate, join, with_baselines
from tfnas.evidence.reading import BASELINES, check_settings, load_scores, load_truth

__all__ = [
    "BASELINES",
    "GROUP",
    "average",
    "check_settings",
    "correlate",
    "evaluate",
    "join",
    "load_scores",
    "load_truth",
    "with_baselines",
]
