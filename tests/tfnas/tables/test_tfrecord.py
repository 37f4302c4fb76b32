"""TFRecord files: whatever is written is read, and whatever is damaged is found."""

import hashlib

import numpy as np
import pytest

from tests import nasbench101_cases as cases
from tfnas.errors import InputError
from tfnas.tables import tfrecord


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.tfrecord"


@pytest.mark.parametrize(
    ("data", "crc"),
    [  # RFC 3720, B.4, and the check value of the catalogues
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"", 0),
    ],
)
def test_checksums_of_the_standard(data, crc):
    assert cases.crc32c(data) == crc
    assert tfrecord.masked_crcs(b"xy" + data + b"....", [2], [len(data)]).tolist() == [cases.masked(crc)]


def test_checksums_of_many_stretches_are_those_of_each():
    rng = np.random.default_rng(0)
    lengths = [0, 1, 3, 0, 700, 12, 5, 0, 64]
    gaps = rng.integers(4, 30, size=len(lengths))
    starts = (np.cumsum(gaps) + np.concatenate([[0], np.cumsum(lengths)[:-1]])).tolist()
    data = rng.bytes(starts[-1] + lengths[-1] + 4)
    single = [cases.masked(cases.crc32c(data[a : a + n])) for a, n in zip(starts, lengths, strict=True)]
    assert tfrecord.masked_crcs(data, starts, lengths).tolist() == single


def contents(path):
    return [record for block in tfrecord.blocks(path) for record in block]


@pytest.mark.parametrize("block", [1, 13, 16, 17, 400, 1 << 20])
def test_records_do_not_depend_on_the_blocks_they_are_read_in(path, monkeypatch, block):
    wanted = [b"", b"a", b"bc" * 300, b"", bytes(13)]
    cases.write(path, wanted)
    monkeypatch.setattr(tfrecord, "_BLOCK", block)
    assert contents(path) == wanted
    assert tfrecord.sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_records_that_tensorflow_writes(path):
    import tensorflow as tf

    wanted = [b"", b"one", np.random.default_rng(0).bytes(5000), b"x" * 17]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in wanted:
            writer.write(record)
    assert contents(path) == wanted
    whole = path.read_bytes()
    cases.write(path, wanted)
    assert path.read_bytes() == whole


def test_a_cut_file_says_where(path):
    wanted = [b"first", b"", b"the third"]
    cases.write(path, wanted)
    whole = path.read_bytes()
    bounds = np.cumsum([0, *(16 + len(record) for record in wanted)]).tolist()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        if size in bounds:
            assert contents(path) == wanted[: bounds.index(size)]
            continue
        number = sum(bound < size for bound in bounds) - 1
        message = f"ends within record {number}, which starts at byte {bounds[number]}, {size - bounds[number]} bytes"
        with pytest.raises(InputError, match=message):
            contents(path)


def test_a_flipped_bit_is_found_wherever_it_is(path):
    wanted = [b"first", b"", b"the third"]
    cases.write(path, wanted)
    whole = path.read_bytes()
    bounds = np.cumsum([0, *(16 + len(record) for record in wanted)]).tolist()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        number = sum(bound <= place for bound in bounds) - 1
        what = "the length of" if place - bounds[number] < 12 else "the data of"
        with pytest.raises(InputError, match=f"damaged: {what} record {number} at byte {bounds[number]} do"):
            contents(path)


def test_a_record_that_is_too_long(path):
    cases.write(path, [b"a", bytes(tfrecord.MAX_LENGTH + 1)])
    with pytest.raises(InputError, match=r"record 1 at byte 17 has 65537 bytes. Allowed: 65536"):
        contents(path)
