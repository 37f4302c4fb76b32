"""Every test that docs/reliability.md names exists."""

import ast
import re

from tests.conftest import ROOT


def test_named_tests_exist():
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / "docs" / "reliability.md").read_text())
    assert len(named) > 15
    for path, name in named:
        tree = ast.walk(ast.parse((ROOT / "tests" / path).read_text()))
        assert name in {node.name for node in tree if isinstance(node, ast.FunctionDef)}, f"{path}::{name}"
