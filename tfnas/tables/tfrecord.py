"""Streams the records of a TFRecord file and verifies all of their checksums, without TensorFlow.

A record is its length (uint64, little-endian), the masked CRC-32C of those 8 bytes, the data, and the masked CRC-32C of
the data; the mask rotates the checksum right by 15 bits and adds 0xA282EAD8 (TensorFlow's tfrecord format). Local paths
and gs:// addresses both work.

Reading a table must not wait for TensorFlow to start, and none of the dependencies but TensorFlow has a CRC-32C. A loop
over bytes takes minutes for the 2 GB of a benchmark. Yet checksums are linear over XOR: that of a record is the XOR of
one table entry per byte, chosen by the byte and its distance to the end, so NumPy looks up a whole block at once (about
10 ns a byte).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tfnas import paths
from tfnas.errors import InputError
from tfnas.progress import Progress

if TYPE_CHECKING:
    from etils import epath

MAX_LENGTH = 1 << 16  # of a record's data; the tables of the checksum grow by 1 KiB for each byte of the longest record
_BLOCK = 1 << 20
_HEADER = struct.Struct("<QI")
_FOOTER = 4
_POLYNOMIAL = 0x82F63B78
_ONES = 0xFFFFFFFF


def sha256(path: epath.PathLike) -> str:
    """SHA-256 of a whole file, 64 hexadecimal digits, with progress in MB."""
    digest = hashlib.sha256()
    for chunk in _chunks(path, "checked"):
        digest.update(chunk)
    return digest.hexdigest()


def blocks(path: epath.PathLike) -> Iterator[list[bytes]]:
    """The data of all records in the order of the file, some thousand at a time, with progress in MB.

    Raises:
        InputError: the file ends within a record, a checksum does not match, or a record is longer than `MAX_LENGTH`;
            the message names the record (counted from 0) and the byte where it starts.
    """
    data, offset, number = b"", 0, 0
    with contextlib.closing(_chunks(path, "read")) as chunks:  # the bar must go before an error is shown
        for chunk in chunks:
            data += chunk
            starts, lengths, used = _walk(path, data, offset, number)
            if starts:
                wrong = np.flatnonzero(_stored(data, starts, lengths) != masked_crcs(data, starts, lengths))
                if len(wrong):
                    place = f"record {number + wrong[0]} at byte {offset + starts[wrong[0]] - _HEADER.size}"
                    raise _damaged(path, f"the data of {place} do not match their checksum")
                yield [data[start : start + length] for start, length in zip(starts, lengths, strict=True)]
            data, offset, number = data[used:], offset + used, number + len(starts)
    if data:
        raise _damaged(path, f"it ends within record {number}, which starts at byte {offset}, {len(data)} bytes later")


def masked_crcs(data: bytes, starts: list[int], lengths: list[int]) -> np.ndarray:
    """Masked CRC-32C of stretches of `data` that lie one behind the other, four bytes or more apart: uint32 [N].

    Args:
        data: bytes, at least four more behind the last stretch.
        starts: [N], ascending.
        lengths: [N].
    """
    first = np.array(starts, np.int64)
    sizes = np.array(lengths, np.int64)
    ends = first + sizes
    base, stop = int(first[0]), int(ends[-1]) + _FOOTER
    table, initial = _tables(1 << int(sizes.max() + _HEADER.size + _FOOTER).bit_length())
    # Distance of each byte to the end of its stretch. Bytes between stretches get negative ones, which index some entry
    # of the table that the sum below leaves out.
    index = np.repeat(ends - 1, np.diff(first, append=stop))
    index -= np.arange(base, stop)
    index <<= 8
    index += np.frombuffer(data, np.uint8, stop - base, base)
    bounds = np.stack([first, ends], axis=1).ravel() - base
    summed = np.bitwise_xor.reduceat(table.take(index, mode="wrap"), bounds)[::2]
    summed[sizes == 0] = 0  # reduceat gives an empty stretch the entry at its start
    return _mask(summed ^ initial[sizes] ^ np.uint32(_ONES))


def _chunks(path: epath.PathLike, done: str) -> Iterator[bytes]:
    from etils import epath

    path = epath.Path(paths.expand(path))
    size = path.stat().length
    seen = 0
    with path.open("rb") as file, Progress(f"{path.name}, MB {done}", -(-size // 10**6)) as progress:
        while chunk := file.read(_BLOCK):
            seen += len(chunk)
            progress.advance(-(-seen // 10**6) - progress.count)
            yield chunk


def _walk(path: epath.PathLike, data: bytes, offset: int, number: int) -> tuple[list[int], list[int], int]:
    """(start of the data of each whole record, their lengths, bytes used); `data` is at byte `offset` of the file."""
    starts, lengths, position = [], [], 0
    while position + _HEADER.size <= len(data):
        length, crc = _HEADER.unpack_from(data, position)
        place = f"record {number + len(starts)} at byte {offset + position}"
        if crc != _length_crc(length):
            other = ", or it is no TFRecord file" if offset + position == 0 else ""
            raise _damaged(path, f"the length of {place} does not match its checksum{other}")
        if length > MAX_LENGTH:
            raise InputError(f"{path}: {place} has {length} bytes. Allowed: {MAX_LENGTH} at most")
        end = position + _HEADER.size + length + _FOOTER
        if end > len(data):
            break
        starts.append(position + _HEADER.size)
        lengths.append(length)
        position = end
    return starts, lengths, position


def _stored(data: bytes, starts: list[int], lengths: list[int]) -> np.ndarray:
    places = (np.array(starts) + lengths)[:, None] + np.arange(_FOOTER)
    return np.frombuffer(data, np.uint8)[places].view("<u4")[:, 0]


@functools.cache  # a benchmark has a few hundred different lengths
def _length_crc(length: int) -> int:
    return int(masked_crcs(struct.pack("<Q", length) + bytes(_FOOTER), [0], [8])[0])


def _mask(crcs: np.ndarray) -> np.ndarray:
    return (crcs >> np.uint32(15) | crcs << np.uint32(17)) + np.uint32(0xA282EAD8)


@functools.cache
def _tables(length: int) -> tuple[np.ndarray, np.ndarray]:
    """(checksum of byte b with k zero bytes behind it, at 256 k + b; that of k zero bytes after the initial ones)."""
    step = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        step = (step >> np.uint32(1)) ^ (step & np.uint32(1)) * np.uint32(_POLYNOMIAL)
    table = np.empty((length, 256), np.uint32)
    initial = np.empty(length, np.uint32)
    table[0], initial[0] = step, _ONES
    for k in range(1, length):
        table[k] = (table[k - 1] >> np.uint32(8)) ^ step[table[k - 1] & np.uint32(255)]
        initial[k] = (initial[k - 1] >> np.uint32(8)) ^ step[initial[k - 1] & np.uint32(255)]
    return table.ravel(), initial


def _damaged(path: epath.PathLike, what: str) -> InputError:
    return InputError(f"{path} is damaged: {what}. Get the file again")
