"""Search spaces: what an architecture is, and how it becomes a network.

    space = spaces.get("nasbench201")
    arch = space.sample(np.random.default_rng(0))
    model = space.build(arch, width=16, depth=1)

A space is a folder here and two lines below, one for the space and one for the importers of its published files.
Importing this package needs no TensorFlow; building a model does.
"""

from spaces import importers
from spaces.base import Architecture, NetworkConfig, Sizes, Space
from spaces.mobile.mnas import accel
from spaces.mobile.mnas.space import Mnas
from spaces.mobile.proxylessnas.space import ProxylessNAS
from spaces.nasbench101 import published as nasbench101_published
from spaces.nasbench101.space import NASBench101
from spaces.nasbench201.size import NASBench201Size
from spaces.nasbench201.space import NASBench201
from spaces.registry import get, names, of_archs, of_table, register

__all__ = [
    "Architecture",
    "NetworkConfig",
    "Sizes",
    "Space",
    "get",
    "importers",
    "names",
    "of_archs",
    "of_table",
    "register",
]

register(Mnas())
register(NASBench101())
register(NASBench201())
register(NASBench201Size())
register(ProxylessNAS())

for _importer in (importers.COLUMNS, *accel.IMPORTERS, *nasbench101_published.IMPORTERS):
    importers.register(_importer)
