"""Bugs planted on purpose, one at a time: which of them the tests notice.

    python -m benchmarks.mutation                       # all; about a quarter of an hour on 2 cores
    python -m benchmarks.mutation --only=seed,split     # those with one of these words in what they are
    python -m benchmarks.mutation --first=20 --count=10

The list is mutations.json beside this file: for each bug the file, the text that is replaced, the text planted, what it
is in one line, and the tests that should notice. The tree is copied to a temporary folder, so the working tree stays as
it is. All named tests run there once without a bug: one that fails anyway would notice everything, so nothing is
planted then. "noticed" is a failed test; "survived" is a bug that all named tests pass with; "broken" is anything else,
such as tests that cannot be collected or take long. The exit code is 1 unless all are noticed. A bug found in use
belongs on the list, with the test that now notices it.
"""

import collections
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from absl import app, flags

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIST = pathlib.Path(__file__).with_name("mutations.json")

ONLY = flags.DEFINE_list("only", [], "take the bugs that have one of these in their description or file")
FIRST = flags.DEFINE_integer("first", 0, "index of the first bug taken")
COUNT = flags.DEFINE_integer("count", 0, "how many are taken (0: all)", lower_bound=0)

_FOLDERS = ("benchmarks", "docs", "launch", "proxies", "spaces", "tests", "tfnas")
# Seconds: no bug of the list makes an endless loop, and a busy machine is several times slower than an idle one.
_PATIENCE = 1200
_ENDS = {0: "survived", 1: "noticed"}


@dataclasses.dataclass(frozen=True)
class Mutation:
    """One bug to plant.

    Attributes:
        file: relative to the root.
        old: text that occurs once in it.
        new: what is planted there.
        what: the bug, in one line.
        tests: arguments of pytest: files or single tests that should notice.
    """

    file: str
    old: str
    new: str
    what: str
    tests: tuple[str, ...]


def read() -> list[Mutation]:
    """The list."""
    return [Mutation(**entry | {"tests": tuple(entry["tests"])}) for entry in json.loads(LIST.read_text())]


def plant(mutation: Mutation, tree: pathlib.Path) -> str:
    """What the named tests make of one bug: "noticed", "survived" or "broken". The tree is as before afterwards."""
    path = tree / mutation.file
    whole = path.read_text()
    if whole.count(mutation.old) != 1:
        return "broken"
    path.write_text(whole.replace(mutation.old, mutation.new))
    try:
        done = run(tree, "-x", *mutation.tests, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        return "broken"
    finally:
        path.write_text(whole)
    return _ENDS.get(done.returncode, "broken")


def failing(mutations: list[Mutation], tree: pathlib.Path) -> str:
    """What pytest says of the named tests where they do not all pass without a bug; "" where they do."""
    done = run(tree, *dict.fromkeys(test for mutation in mutations for test in mutation.tests))
    return done.stdout[-3000:] if done.returncode else ""


def run(tree: pathlib.Path, *arguments: str, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    """Pytest on a copy of the tree."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    shared = os.environ.get("TFNAS_SHARED", str(ROOT.parent / "shared"))
    environment = os.environ | {"PYTHONPATH": str(tree), "TFNAS_SHARED": shared, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=timeout)


def main(_: list[str]) -> None:
    chosen = [m for m in read() if not ONLY.value or any(word in f"{m.what} {m.file}" for word in ONLY.value)]
    chosen = chosen[FIRST.value :][: COUNT.value or None]
    ends: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        for name in _FOLDERS:
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        for path in ROOT.glob("*.*"):
            if path.is_file():
                shutil.copy(path, tree)
        if chosen and (told := failing(chosen, tree)):
            sys.exit(f"{told}\nerror: these fail without any bug")
        for mutation in chosen:
            start = time.perf_counter()
            end = plant(mutation, tree)
            ends[end] += 1
            print(f"{end:8}  {time.perf_counter() - start:4.0f} s  {mutation.file}: {mutation.what}", flush=True)
    print(f"{ends['noticed']} of {len(chosen)} noticed, {ends['survived']} survived, {ends['broken']} broken")
    sys.exit(ends["noticed"] < len(chosen))


if __name__ == "__main__":
    app.run(main)
