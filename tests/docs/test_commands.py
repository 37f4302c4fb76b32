"""Every command and every piece of code in a document runs as it stands, if at a smaller scale."""

import pytest

from tests.conftest import ROOT
from tests.docs import documents, reductions
from tests.docs.documents import Command, commands
from tests.docs.session import Session

# Read with what surrounds its code, in test_adding.py.
APART = {ROOT / "docs" / "adding.md"}
WITH_CODE = [path for path in documents.paths() if documents.blocks(path) and path not in APART]


@pytest.mark.parametrize("path", WITH_CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_all_that_a_document_says_can_be_done(path, session):
    for block in documents.blocks(path):
        session.do(block)


def test_documents_are_found():
    found = {str(path.relative_to(ROOT)) for path in WITH_CODE}
    assert {"README.md", "docs/experiments.md", "results/nngp.md", "results/nngp_fig1/README.md"} <= found


def test_commands_are_read_like_a_shell_reads_them():
    text = (
        'C="--a=1 --b"\npython -m x $C \\\n    --c="d e"   # why\n\nN=1 M=\'{"a": 2}\' python y\necho "a|b" > f.txt\n'
    )
    assert commands(text) == [
        Command(("python", "-m", "x", "--a=1", "--b", "--c=d e")),
        Command(("python", "y"), {"N": "1", "M": '{"a": 2}'}),
        Command(("echo", "a|b"), {}, "f.txt"),
    ]


def test_every_exception_has_its_command():
    shells = [block.text for path in documents.paths() for block in documents.blocks(path) if block.language == "bash"]
    every = [str(command) for text in shells for command in commands(text)]
    for exceptions in (reductions.PARSED, reductions.CHECKED, reductions.INVENTED):
        for pattern in exceptions:
            assert any(reductions.reason({pattern: "found"}, command) for command in every), pattern
    for start in reductions.ELSEWHERE:
        assert any(command.startswith(start) for command in every), start


@pytest.mark.parametrize("text", ["cp a b", "python -m launch.unknown", "echo nothing", "python setup.py"])
def test_a_command_that_no_test_knows_fails(session: Session, text):
    (command,) = commands(text)
    with pytest.raises(AssertionError, match="No test knows how to run"):
        session.run(command)


def test_a_launcher_that_fails_or_knows_no_such_flag_fails(session: Session):
    for text in ("python -m launch.reproduce", "python -m launch.score --num_arch=4 --output=x"):
        with pytest.raises(AssertionError, match="ended with 2"):
            session.run(commands(text)[0])
