"""Protobuf messages: fields by hand, by protobuf itself, and everything that can be wrong with them."""

import struct

import pytest

from tests import nasbench101_cases as cases
from tfnas.tables import protobuf
from tfnas.tables.protobuf import BYTES, DOUBLE, FLOAT, VARINT


def test_fields_by_hand():
    # The example of the documentation: field 1 is 150.
    assert list(protobuf.fields(b"\x08\x96\x01")) == [(1, VARINT, 150)]
    message = (
        cases.double(3, -0.1) + cases.text(2, b"abc") + cases.varint(4 << 3 | FLOAT) + b"wxyz" + cases.text(2, b"")
    )
    assert list(protobuf.fields(message)) == [
        (3, DOUBLE, -0.1),
        (2, BYTES, b"abc"),
        (4, FLOAT, b"wxyz"),
        (2, BYTES, b""),
    ]
    assert list(protobuf.fields(b"")) == []


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**32, 2**64 - 1])
@pytest.mark.parametrize("number", [1, 15, 16, 2047, 2048, 2**29 - 1])
def test_numbers_of_every_length(number, value):
    assert list(protobuf.fields(cases.varint(number << 3) + cases.varint(value))) == [(number, VARINT, value)]


def test_a_message_that_protobuf_writes():
    pytest.importorskip("google.protobuf")
    from google.protobuf import struct_pb2, wrappers_pb2

    assert list(protobuf.fields(wrappers_pb2.UInt64Value(value=10**18).SerializeToString())) == [(1, VARINT, 10**18)]
    assert list(protobuf.fields(wrappers_pb2.DoubleValue(value=2.5).SerializeToString())) == [(1, DOUBLE, 2.5)]
    single = wrappers_pb2.FloatValue(value=2.5).SerializeToString()
    assert list(protobuf.fields(single)) == [(1, FLOAT, struct.pack("<f", 2.5))]
    inner = struct_pb2.Value(string_value="x" * 1000)
    outer = struct_pb2.ListValue(values=[inner, inner]).SerializeToString()
    assert list(protobuf.fields(outer)) == [(1, BYTES, inner.SerializeToString())] * 2


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"\x08", "ends within a number"),
        (b"\x08\x80", "ends within a number"),
        (b"\x80", "ends within a number"),
        (b"\x08" + b"\xff" * 11, "or one is too long"),
        (b"\x09" + bytes(7), "ends within a field"),
        (b"\x0d" + bytes(3), "ends within a field"),
        (b"\x0a\x05abcd", "ends within a field"),
        (b"\x0b", "field of wire type 3"),
        (b"\x0f", "field of wire type 7"),
    ],
)
def test_what_is_no_message(message, reason):
    with pytest.raises(protobuf.MessageError, match=reason):
        list(protobuf.fields(cases.double(1, 1.0) + message))


def test_an_unexpected_wire_type():
    protobuf.expect(2, BYTES, BYTES)
    with pytest.raises(protobuf.MessageError, match="field 2 of the message has wire type 2 instead of 1"):
        protobuf.expect(2, BYTES, DOUBLE)
