import pytest

from tests.tfnas.networks import cases
from tfnas.networks.keras_model import to_keras


@pytest.fixture
def everything():
    graph = cases.all_ops()
    arrays = cases.random_weights(graph)
    return graph, arrays, to_keras(graph, arrays)
