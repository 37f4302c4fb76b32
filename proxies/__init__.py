"""Training-free scores of networks.

    proxies.score(model, images, labels, ["gradsign", "synflow"])   # any Keras classifier
    proxies.evaluate(graph, weights, images, labels, proxies.names(), proxies.Options())

Higher is better for every proxy. Proxies of one network share the passes they need. Importing this package does not
import TensorFlow.
"""

from proxies import (  # noqa: F401  (imported for their entries in the registry; the order is that of tables)
    activations,
    aznas,
    gradsign,
    inference,
    jacobian,
    meco,
    ntk,
    pruning,
    size,
    trained,
    zen,
    zico,
)
from proxies.aggregates import AGGREGATES, aggregate
from proxies.base import Outcome, Proxy, get, names
from proxies.options import Options, calibration_size, make_options
from proxies.score import evaluate, score
from proxies.size import SIZES

__all__ = [
    "AGGREGATES",
    "SIZES",
    "Options",
    "Outcome",
    "Proxy",
    "aggregate",
    "calibration_size",
    "evaluate",
    "get",
    "make_options",
    "names",
    "score",
]
