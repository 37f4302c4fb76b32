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
    jacobian,
    meco,
    ntk,
    pruning,
    size,
    zen,
    zico,
)
from proxies.aggregates import AGGREGATES, aggregate
from proxies.base import Options, Outcome, Proxy, get, names
from proxies.score import evaluate, score

__all__ = ["AGGREGATES", "Options", "Outcome", "Proxy", "aggregate", "evaluate", "get", "names", "score"]
