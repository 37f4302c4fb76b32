"""Documents of the project as what they hold: blocks of code and links."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import shlex

from tests.conftest import ROOT

# Blocks in lists are indented.
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Block:
    """What stands between two fences: its language and its text, under which heading and from which line on."""

    language: str
    text: str
    heading: str
    line: int


def paths() -> list[pathlib.Path]:
    """All documents that a reader meets."""
    found = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "results").rglob("*.md")]
    return sorted(found, key=str)


def blocks(path: pathlib.Path) -> list[Block]:
    """The fenced blocks of a document, in order."""
    text = path.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        heading = ["", *_HEADING.findall(_FENCE.sub("", text[: match.start()]))][-1]
        code = re.sub(f"^{match[1]}", "", match[3], flags=re.MULTILINE)
        found.append(Block(match[2], code, heading, text[: match.start()].count("\n") + 1))
    return found


def links(path: pathlib.Path) -> list[str]:
    """Targets of all links and pictures outside code."""
    return [one or other for one, other in _LINK.findall(_FENCE.sub("", path.read_text(encoding="utf-8")))]


def anchors(path: pathlib.Path) -> set[str]:
    """What a link to a heading of a document may name."""
    titles = _HEADING.findall(_FENCE.sub("", path.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of a shell.

    Attributes:
        words: name and arguments, quotes taken off and variables filled in.
        variables: of the environment, set for this command.
        target: file that it writes its output to ("> file").
    """

    words: tuple[str, ...]
    variables: dict[str, str] = dataclasses.field(default_factory=dict)
    target: str = ""

    def __str__(self) -> str:
        return shlex.join(self.words)


def commands(text: str) -> list[Command]:
    """The commands of a shell block, one a line, with continued lines, comments, variables and "> file"."""
    found, known = [], {}
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        words = shlex.split(_filled(line, known), comments=True)
        given = {}
        while words and (match := _ASSIGNMENT.fullmatch(words[0])):
            given[match[1]] = match[2]
            words.pop(0)
        if not words:
            known |= given
            continue
        target = ""
        if len(words) > 2 and words[-2] == ">":
            *words, _, target = words
        found.append(Command(tuple(words), given, target))
    return found


def _filled(line: str, known: dict[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda match: known.get(match[1], match[0]), line)
