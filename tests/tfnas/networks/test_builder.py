"""What the builder of layer graphs refuses."""

import pytest

from tfnas.networks.builder import GraphBuilder


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda b: b.conv("input", "input", 4, 3), "exists already"),
        (lambda b: b.conv("c", "input", 4, 3, groups=2), "groups must divide"),
        (lambda b: b.conv("c", "input", 4, 3, padding="full"), "'same' or 'valid'"),
        (lambda b: b.add("s", ["input", b.conv("c", "input", 4, 3)]), "cannot add"),
        (lambda b: b.concat("s", ["input", b.conv("c", "input", 4, 3, strides=2)]), "cannot concatenate"),
        (lambda b: b.multiply("m", "input", b.conv("c", "input", 4, 1)), "gate does not fit"),
        (lambda b: b.activation("a", "input", "softplus"), "Allowed: relu"),
        (lambda b: b.finish("nowhere"), "nowhere"),
    ],
)
def test_impossible_layers_are_refused(break_it, message):
    with pytest.raises((ValueError, KeyError), match=message):
        break_it(GraphBuilder((8, 8, 3)))
