"""How far a long command is: a bar with rate and time left; where there is no terminal, a plain line now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TimeRemainingColumn
from rich.text import Text

TELL_EVERY = 2.0  # seconds, where there is no terminal to draw a bar on


@contextmanager
def progress(total: int, what: str, *, plainly: bool = False) -> Iterator[Callable[[int], None]]:
    """Yields what is to be told how many more of `what` are done, on the standard error."""
    if not sys.stderr.isatty() or plainly:
        yield _plain(total, what)
        return
    columns = BarColumn(), MofNCompleteColumn(), _Rate(what), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        yield partial(bar.advance, bar.add_task("", total=total))


class _Rate(ProgressColumn):
    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def render(self, task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:.0f} {self._what}/s")


def _plain(total: int, what: str) -> Callable[[int], None]:
    began = told = time.monotonic()
    done = 0

    def advance(more: int) -> None:
        nonlocal told, done
        done += more
        if (now := time.monotonic()) - told < TELL_EVERY:
            return
        told = now
        rate = done / (now - began)
        print(f"{done} of {total} {what}, {rate:.0f} {what}/s, {(total - done) / rate:.0f} s left", file=sys.stderr)

    return advance
