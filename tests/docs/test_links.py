"""Links between documents, and to files of the project, lead somewhere."""

import pytest

from tests.conftest import ROOT
from tests.docs import documents

README_LINES = 150


@pytest.mark.parametrize("path", documents.paths(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for link in documents.links(path):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), f"{link} in {path}"
        if anchor:
            assert anchor in documents.anchors(target), f"{link} in {path}"


def test_the_readme_is_a_door():
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES
