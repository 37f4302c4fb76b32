"""Search spaces: what an architecture is, and how it becomes a network.

    space = spaces.get("nasbench201")
    arch = space.sample(np.random.default_rng(0))
    model = space.build(arch, width=16, depth=1)

Importing this package needs no TensorFlow; building a model does.
"""

from spaces.base import Architecture, NetworkConfig, Space
from spaces.nasbench101.space import NASBench101
from spaces.nasbench201.size import NASBench201Size
from spaces.nasbench201.space import NASBench201
from tfnas.errors import unknown

__all__ = ["Architecture", "NetworkConfig", "Space", "get", "names", "register"]

_SPACES: dict[str, Space] = {}


def register(space: Space) -> Space:
    """Makes a space known under its name.

    Raises:
        ValueError: the name is taken.
    """
    if space.name in _SPACES:
        raise ValueError(
            f"A space named {space.name!r} is registered already, by {type(_SPACES[space.name]).__qualname__}. "
            f"Received: {type(space).__qualname__}. Give it another name"
        )
    _SPACES[space.name] = space
    return space


def names() -> list[str]:
    """Names of all spaces, sorted."""
    return sorted(_SPACES)


def get(name: str) -> Space:
    """The space of a name.

    Raises:
        InputError: there is none; the message lists all.
    """
    if name not in _SPACES:
        raise unknown("search space", name, names())
    return _SPACES[name]


register(NASBench101())
register(NASBench201())
register(NASBench201Size())
