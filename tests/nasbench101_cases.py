"""Writes files in the form of NAS-Bench-101's, byte by byte in plain Python, with invented runs of real cells."""

import base64
import dataclasses
import hashlib
import json
import random
import struct

import numpy as np

import spaces
from spaces.nasbench101.cells import Cell


def crc32c(data):
    """Bit by bit, from the definition: reflected polynomial 0x1EDC6F41, ones before and after."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(crc):
    return ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) % 2**32


def framed(data):
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked(crc32c(length))) + data + struct.pack("<I", masked(crc32c(data)))


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def double(number, value):
    return varint(number << 3 | 1) + struct.pack("<d", value)


def text(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


@dataclasses.dataclass(frozen=True)
class Evaluation:
    epoch: float
    seconds: float
    train: float
    val: float
    test: float

    def message(self):
        return b"".join(double(i, value) for i, value in enumerate(dataclasses.astuple(self), start=1))


@dataclasses.dataclass(frozen=True)
class Run:
    """A record: a cell, as the file gives it, and one training of it."""

    cell: Cell
    hash: str
    params: int
    epochs: int
    start: Evaluation
    half: Evaluation
    end: Evaluation

    def metrics(self):
        evaluations = b"".join(text(1, each.message()) for each in (self.start, self.half, self.end))
        return evaluations + varint(2 << 3) + varint(self.params) + double(3, 1.1 * self.end.seconds)

    def fields(self):
        adjacency = "".join(str(bit) for row in self.cell.matrix for bit in row)
        return [
            self.hash, self.epochs, adjacency, ",".join(self.cell.ops), base64.b64encode(self.metrics()).decode(),
        ]  # fmt: skip

    def record(self):
        return json.dumps(self.fields()).encode()


def sample_cells(count, seed=0):
    """Cells of different hash, pruned as the file has them, the smallest possible among them."""
    space = spaces.get("nasbench101")
    rng = np.random.default_rng(seed)
    found = {}
    for cell in (space.parse("output~0"), *(space.sample(rng) for _ in range(20 * count))):
        found.setdefault(space.canonical(cell), cell.pruned)
    return list(found.values())[:count]


def make_run(cell, epochs, rng, **changes):
    """A run with invented numbers; the published ones are multiples of 1 / 9984, too."""
    space = spaces.get("nasbench101")

    def evaluation(epoch, seconds):
        return Evaluation(epoch, seconds, *(rng.randrange(9985) / 9984 for _ in range(3)))

    seconds = rng.uniform(10, 5000)
    run = Run(
        cell,
        space.canonical(cell),
        space.layer_graph(cell).count_params(),
        epochs,
        evaluation(0.0, 0.0),
        evaluation(epochs / 2, seconds / 2),
        evaluation(float(epochs), seconds),
    )
    return dataclasses.replace(run, **changes)


def make_runs(count=4, epochs=(108,), seed=0):
    """Three runs of `count` cells for each number of epochs, in a random order."""
    rng = random.Random(seed)
    runs = [make_run(cell, each, rng) for cell in sample_cells(count, seed) for each in epochs for _ in range(3)]
    rng.shuffle(runs)
    return runs


def write(path, records):
    """Writes records (bytes or runs) and returns the SHA-256 of the file."""
    data = b"".join(framed(each if isinstance(each, bytes) else each.record()) for each in records)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()
