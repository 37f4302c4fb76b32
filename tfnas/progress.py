"""Progress with count, rate and time left: a bar in a terminal, a line now and then in a log file."""

import sys
import time
from types import TracebackType
from typing import Self, TextIO

from tfnas.errors import InputError

LINE_EVERY_SECONDS = 30.0


class Progress:
    """Context manager around a loop whose length is known.

    Args:
        label: what is counted, e.g. "networks".
        total: how many there are in all.
        done: how many were there before this run; they count, but never enter the rate.
        stream: where to write, standard error by default.
    """

    def __init__(self, label: str, total: int, *, done: int = 0, stream: TextIO | None = None) -> None:
        self.label, self.total, self.count = label, total, done
        self._before = done
        self._stream = stream or sys.stderr
        self._bar = _bar(self._stream) if self._stream.isatty() else None
        self._task = None
        self._start = self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        self._start = self._last_line = time.monotonic()
        if self._bar:
            self._bar.start()
            self._task = self._bar.add_task(self.label, total=self.total, completed=self.count, speed="", left="")
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()
        elif not isinstance(error, InputError):  # which is one line itself
            self._line()

    def advance(self, amount: int = 1) -> None:
        self.count += amount
        if self._bar:
            self._bar.update(self._task, completed=self.count, speed=self._speed(), left=self._left())
        elif time.monotonic() - self._last_line >= LINE_EVERY_SECONDS:
            self._line()

    def _line(self) -> None:
        self._last_line = time.monotonic()
        parts = [f"{self.label}: {self.count}/{self.total}", self._speed(), self._left()]
        print(", ".join(filter(None, parts)), file=self._stream, flush=True)

    def _rate(self) -> float:
        return (self.count - self._before) / max(time.monotonic() - self._start, 1e-9)

    def _speed(self) -> str:
        rate = self._rate()
        if rate == 0:
            return ""
        return f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:.1f} s each"

    def _left(self) -> str:
        rate = self._rate()
        left = self.total - self.count
        return f"{_clock(left / rate)} left" if rate and left > 0 else ""


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"


def _bar(stream: TextIO) -> "object":
    from rich import console, progress

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[speed]}"),
        progress.TextColumn("{task.fields[left]}"),
        console=console.Console(file=stream),
    )
