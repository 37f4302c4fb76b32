"""Walks over the fields of a protobuf message, without protobuf: https://protobuf.dev/programming-guides/encoding.

Published benchmarks hold millions of small messages of two or three kinds. Protobuf itself is no dependency, and which
version TensorFlow brings along changes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

VARINT, DOUBLE, BYTES, FLOAT = 0, 1, 2, 5  # wire types
_unpack_double = struct.Struct("<d").unpack_from


class MessageError(ValueError):
    """Why something is no protobuf message, or not the one expected."""


def fields(message: bytes) -> Iterator[tuple[int, int, Any]]:
    """(number, wire type, value) of each field of a message, in its order.

    Values are integers (`VARINT`), floats (`DOUBLE`) and bytes (`BYTES`; `FLOAT` as its 4 bytes).

    Raises:
        MessageError: the message ends too early or has a field of another wire type.
    """
    position, end = 0, len(message)
    while position < end:
        tag = message[position]
        position += 1
        if tag > 127:  # tags of one byte, the most by far, need no call
            tag, position = _varint(message, position - 1)
        wire = tag & 7
        if wire == VARINT:
            value, position = _varint(message, position)
        elif wire in (DOUBLE, FLOAT, BYTES):
            size = 8 if wire == DOUBLE else 4
            if wire == BYTES:
                size, position = _varint(message, position)
            start, position = position, position + size
            if position > end:
                raise MessageError("the message ends within a field")
            value = _unpack_double(message, start)[0] if wire == DOUBLE else message[start:position]
        else:
            raise MessageError(f"the message has a field of wire type {wire}")
        yield tag >> 3, wire, value


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """(value, where the next byte is) of a number in groups of seven bits, the lowest first."""
    value = 0
    for i, byte in enumerate(message[position : position + 10]):
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, position + i + 1
    raise MessageError("the message ends within a number, or one is too long")


def expect(field: int, wire: int, expected: int) -> None:
    """Raises MessageError for a field whose wire type is not the expected."""
    if wire != expected:
        raise MessageError(f"field {field} of the message has wire type {wire} instead of {expected}")
