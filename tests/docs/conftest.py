"""A reader's working folder, and registries as they were before."""

import dataclasses
import re

import matplotlib
import pytest

import proxies
import spaces
from launch.papers.registry import EXPERIMENTS
from tests.docs import stand_ins
from tests.docs.session import Session


@pytest.fixture
def session(tmp_path, monkeypatch, request):
    """A reader in a fresh folder with the files that commands read; experiments have four networks."""
    matplotlib.use("agg")
    stand_ins.write(tmp_path)
    for name, experiment in list(EXPERIMENTS.items()):
        monkeypatch.setitem(EXPERIMENTS, name, dataclasses.replace(experiment, small_size=4))
    registries = [proxies.get.__globals__["_REGISTRY"], spaces.get.__globals__["_SPACES"]]
    before = [dict(registry) for registry in registries]
    yield Session(tmp_path, monkeypatch, "document_" + re.sub(r"\W", "_", request.node.name))
    for registry, entries in zip(registries, before, strict=True):
        registry.clear()
        registry.update(entries)
