"""Progress: readable in a log, a bar in a terminal."""

import io
import re

import pytest

from tfnas import progress
from tfnas.errors import InputError


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is told to move."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end(clock):
    log = io.StringIO()
    with progress.Progress("networks", 100, stream=log) as bar:
        for _ in range(100):
            clock[0] += 2.0
            bar.advance()
    lines = log.getvalue().splitlines()
    assert len(lines) == 200 / progress.LINE_EVERY_SECONDS // 1 + 1
    assert lines[0] == "networks: 15/100, 2.0 s each, 0:02:50 left"
    assert lines[-1] == "networks: 100/100, 2.0 s each"


def test_what_was_there_before_counts_but_not_for_the_rate(clock):
    log = io.StringIO()
    with progress.Progress("networks", 1000, done=900, stream=log) as bar:
        clock[0] += 1.0
        bar.advance(10)
    assert log.getvalue() == "networks: 910/1000, 10.0/s, 0:00:09 left\n"


def test_an_interrupted_or_empty_run_says_how_far_it_came(clock):
    log = io.StringIO()
    with pytest.raises(KeyboardInterrupt), progress.Progress("networks", 10, stream=log):
        raise KeyboardInterrupt
    assert log.getvalue() == "networks: 0/10\n"


def test_a_terminal_gets_a_bar_with_count_and_rate():
    terminal = Terminal()
    with progress.Progress("networks", 4, stream=terminal) as bar:
        for _ in range(4):
            bar.advance()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    assert "networks" in text
    assert "4/4" in text
    assert "/s" in text


def test_bad_input_is_told_alone():
    log = io.StringIO()
    with pytest.raises(InputError), progress.Progress("networks", 10, stream=log):
        raise InputError("one line")
    assert log.getvalue() == ""
