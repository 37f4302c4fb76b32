"""What the papers print: identifier, kind, title and numbers of every table and figure, as data beside each paper."""

from __future__ import annotations

import functools
import importlib.resources
import json
from typing import Any

# Folders of the papers, in the order of --list.
PAPERS = ("nngp", "gradsign", "lga", "predictor", "fear")


@functools.cache
def facts() -> dict[str, dict[str, Any]]:
    """All tables and figures by identifier: paper, kind, title, expected (the numbers printed), and a note on some."""
    root = importlib.resources.files("launch.papers")
    texts = [root.joinpath(paper, "facts.json").read_text(encoding="utf-8") for paper in PAPERS]
    return {entry["id"]: entry for text in texts for entry in json.loads(text)}
