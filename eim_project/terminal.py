"""What the operator sees while the stack runs."""

import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress

WORTH_SHOWING = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b")
QUIET = {"postgres", "valkey", "flower"}  # what is wrong with these, their clients tell
WORTH_SHOWING_OF_QUIET = re.compile(r"\b(CRITICAL|PANIC)\b")
TRACEBACK = "Traceback (most recent call last)"
COLOURS = {"postgres": 34, "valkey": 31, "web": 32, "southbound": 36, "beat": 35, "flower": 33, "exporter": 33}


class Terminal:
    """One line at a time, with who says it in front. Programs' lines only when they are worth it, or VERBOSE=1."""

    def __init__(self) -> None:
        self.verbose = os.environ.get("VERBOSE") == "1"
        self.quiet = False
        self.show: Callable[[str], None] = self._print
        self.login = ""  # how to log in, the generated password included when there is a new one
        self.started = time.monotonic()
        self._in_traceback: set[str] = set()
        self._shown: dict[str, float] = {}  # complaint -> when

    def say(self, who: str, line: str) -> None:
        if sys.stdout.isatty():
            who = f"\033[{COLOURS.get(who, 37)}m{who:>11}\033[0m"
        self.show(f"{who:>11} | {line}")

    def heard(self, who: str, line: str) -> None:
        if not self.quiet and (self.verbose or (self._is_worth_it(who, line) and self._is_news(who, line))):
            self.say(who, line)

    def _is_worth_it(self, who: str, line: str) -> bool:
        """Warnings and errors, and of a traceback its last line; the log has the rest."""
        if TRACEBACK in line:
            self._in_traceback.add(who)
            return False
        if who in self._in_traceback:
            if not line.startswith(" "):
                self._in_traceback.discard(who)
                return True
            return False
        return (WORTH_SHOWING_OF_QUIET if who in QUIET else WORTH_SHOWING).search(line) is not None

    def _is_news(self, who: str, line: str) -> bool:
        """Not said within the last minute, apart from the numbers in it."""
        complaint, now = who + re.sub(r"\b[0-9a-f:.-]*\d[0-9a-f:.-]*\b", "#", line), time.monotonic()
        news = now - self._shown.get(complaint, -60) >= 60
        if news:
            self._shown[complaint] = now
        return news

    def _print(self, line: str) -> None:
        with suppress(OSError):  # the terminal was closed; the stack is about to be told
            print(line, flush=True)
