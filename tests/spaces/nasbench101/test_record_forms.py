"""Records that are not as the published ones, and cells that are not what earlier records say."""

import base64
import dataclasses
import hashlib
import json
import math
import random

import pytest

from spaces.nasbench101 import published
from tests import nasbench101_cases as cases
from tests.spaces.nasbench101.cases import SPACE, refused
from tfnas.errors import InputError

RUN = cases.make_run(SPACE.parse("conv3x3~0|conv1x1~01|output~12"), 108, random.Random(0))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.tfrecord"


def altered(place, value):
    fields = RUN.fields()
    fields[place] = value
    return fields


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (RUN.record()[:-1], "not JSON"),
        (b"[" * 50_000, "not JSON"),
        ({}, "JSON of dict instead of"),
        ([], r"JSON of \[\] instead of"),
        (RUN.fields()[:4], "JSON of .* instead of"),
        (altered(0, 7), "'int', 'int'"),
        (altered(0, "xyz"), "the hash is 'xyz'"),
        (altered(1, "108"), "'str', 'str'"),
        (altered(1, True), "'str', 'bool'"),
        (altered(1, 108.0), "'str', 'float'"),
        (altered(1, 200), "200 epochs instead of one of 4, 12, 36, 108"),
        (altered(2, "01"), "matrix of 2 digits"),
        (altered(2, ""), "square matrix"),
        (altered(2, "0110001100010002"), "holds 0 and 1"),
        (altered(2, "011000110001000é"), "holds 0 and 1"),
        (altered(2, "011000110001000\ud800"), "holds 0 and 1"),
        (altered(2, "0110001100011000"), "0 on and below its diagonal"),
        (altered(2, "0000001100010000"), "no path"),
        (altered(2, "0110000000010000"), "is not pruned"),
        (altered(2, ["0", "1"]), "'list'"),
        (altered(3, "input,conv3x3-bn-relu,output"), "3 labels"),
        (altered(3, "input,conv3x3-bn-relu,conv5x5,output"), "conv5x5"),
        (altered(3, None), "'NoneType'"),
        (altered(4, None), "'NoneType'"),
        (altered(4, "?"), "not base64"),
        (altered(4, "AAA"), "not base64"),
        (altered(4, ""), "None trainable parameters"),
    ],
)
def test_a_record_of_another_form_is_one_line(path, payload, message):
    record = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    text = refused(path, [RUN, record])
    assert "record 1 is not one of NAS-Bench-101: " in text
    with pytest.raises(InputError, match=message):
        published.read(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def message_of(params=b"\x10\x05", evaluations=3, **changes):
    end = dataclasses.replace(RUN.end, **changes).message()
    return b"".join(cases.text(1, each) for each in [RUN.half.message()] * (evaluations - 1) + [end]) + params


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (message_of(evaluations=2), "2 evaluations instead of 3"),
        (message_of(evaluations=4), "4 evaluations instead of 3"),
        (message_of(params=b""), "None trainable parameters"),
        (message_of(params=b"\x10\x00"), "0 trainable parameters"),
        (message_of(params=b"\x10" + cases.varint(2**64 - 5)), "trainable parameters"),
        (message_of(params=b"\x10" + b"\xff" * 10), "too long"),
        (message_of(params=b"\x10"), "ends within a number"),
        (message_of(params=cases.double(2, 5.0)), "field 2 of the message has wire type 1 instead of 0"),
        (message_of(params=b"\x08\x05"), "field 1 of the message has wire type 0 instead of 2"),
        (message_of(params=b"\x13"), "field of wire type 3"),
        (message_of()[:-3], "ends within a field"),
        (message_of() + b"\x19\x00\x00", "ends within a field"),
        (message_of() + b"\x22\x7f", "ends within a field"),
        (message_of(val=1.5), "an accuracy of 1.5"),
        (message_of(test=93.2), "an accuracy of 93.2"),
        (message_of(train=-0.5), "an accuracy of -0.5"),
        (message_of(seconds=-1.0), "-1.0 seconds"),
        (message_of(seconds=math.inf), "inf seconds"),
    ],
)
def test_metrics_of_another_form_are_one_line(path, message, reason):
    record = json.dumps(altered(4, base64.b64encode(message).decode())).encode()
    text = refused(path, [record])
    assert "record 0 is not one of NAS-Bench-101: " in text
    with pytest.raises(InputError, match=reason):
        published.read(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_an_accuracy_of_the_wrong_wire_type(path):
    broken = cases.varint(4 << 3) + cases.varint(1)
    message = b"".join(cases.text(1, each) for each in (b"", b"", broken)) + b"\x10\x05"
    text = refused(path, [json.dumps(altered(4, base64.b64encode(message).decode())).encode()])
    assert "field 4 of the message has wire type 0 instead of 1" in text


def test_a_fourth_run(path):
    assert f"record 3 is not one of NAS-Bench-101: more than 3 runs of {RUN.hash} for 108" in refused(path, [RUN] * 4)


def test_cells_that_are_not_what_earlier_records_say(path):
    other = cases.sample_cells(3)[2]
    text = refused(path, [RUN, dataclasses.replace(RUN, cell=other)])
    assert f": record 1 is not one of NAS-Bench-101: {other} under the hash {RUN.hash}" in text
    assert f", which is that of {RUN.cell}" in text
    text = refused(path, [RUN, dataclasses.replace(RUN, params=5)])
    assert f"5 parameters of {RUN.cell}, which has {RUN.params}" in text
