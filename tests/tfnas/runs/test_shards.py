"""Shards: every architecture in one of them, by its string alone."""

import itertools

import pytest

from tfnas.errors import InputError
from tfnas.runs.shards import in_shard, parse_shard

ARCHS = [f"|arch{i}|" for i in range(1000)]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_share_out_every_architecture_once(count):
    parts = [[arch for arch in ARCHS if in_shard(arch, i, count)] for i in range(count)]
    assert sorted(itertools.chain.from_iterable(parts)) == sorted(ARCHS)
    assert min(map(len, parts)) > 1000 / count * 0.8


@pytest.mark.parametrize(("text", "expected"), [("0/1", (0, 1)), ("2/3", (2, 3)), ("11/12", (11, 12))])
def test_are_read(text, expected):
    assert parse_shard(text) == expected


@pytest.mark.parametrize("text", ["2/2", "half", "1", "-1/2", "0/0", "1.0/2", "/", ""])
def test_that_make_no_sense_are_refused(text):
    with pytest.raises(InputError, match="i/n") as raised:
        parse_shard(text)
    assert repr(text) in str(raised.value)
