"""Scores of the small network of the tests."""

import functools

import proxies
from tests import proxies_cases as case
from tests.proxies_cases import LABELS


def evaluate(names, arch=case.MIXED, images=None, labels=LABELS, **options):
    images = case.images() if images is None else images
    keywords = {key: options.pop(key) for key in ("second", "thin") if key in options}
    return proxies.evaluate(
        case.graph(arch), case.weights(arch), images, labels, names, proxies.Options(**options), **keywords
    )


@functools.cache
def baseline() -> dict[str, proxies.Outcome]:
    return evaluate(proxies.names(), dtype="float64")
