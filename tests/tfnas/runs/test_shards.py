"""Shards: every architecture in one of them, by its string alone."""

import itertools
import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tfnas.errors import InputError
from tfnas.runs.shards import in_shard, parse_shard

ARCHS = [f"|arch{i}|" for i in range(1000)]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_share_out_every_architecture_once(count):
    parts = [[arch for arch in ARCHS if in_shard(arch, i, count)] for i in range(count)]
    assert sorted(itertools.chain.from_iterable(parts)) == sorted(ARCHS)
    assert min(map(len, parts)) > 1000 / count * 0.8


def test_are_the_same_in_every_process():
    """Machines that share the work must agree, whatever Python's own hash of a string is there."""
    code = "import sys, json; from tfnas.runs.shards import in_shard; "
    code += "print(json.dumps([in_shard(arch, 0, 2) for arch in json.load(sys.stdin)]))"
    found = []
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed},
            input=json.dumps(ARCHS[:64]),
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(json.loads(done.stdout))
    assert found[0] == found[1] == [in_shard(arch, 0, 2) for arch in ARCHS[:64]]


@pytest.mark.parametrize(("text", "expected"), [("0/1", (0, 1)), ("2/3", (2, 3)), ("11/12", (11, 12))])
def test_are_read(text, expected):
    assert parse_shard(text) == expected


@pytest.mark.parametrize("text", ["2/2", "half", "1", "-1/2", "0/0", "1.0/2", "/", ""])
def test_that_make_no_sense_are_refused(text):
    with pytest.raises(InputError, match="i/n") as raised:
        parse_shard(text)
    assert repr(text) in str(raised.value)
