"""Other people's programs that work on disks: run to their end, and what they say last is told when it goes wrong."""

import subprocess

from edge.errors import ActionFailed

LAST_WORDS = 300  # characters of a failed program's output that go to the operator


def run(*command: object, stdin: str | bytes = b"", fine: tuple[int, ...] = (0,), **environment: str) -> str:
    """What it printed. Raises ActionFailed when it ends with another code than these."""
    words = [str(part) for part in command]
    given = stdin.encode() if isinstance(stdin, str) else stdin
    try:
        done = subprocess.run(words, input=given, capture_output=True, env={"PATH": PATH} | environment)
    except OSError as fault:
        raise ActionFailed(f"{words[0]} can't be run: {fault}") from fault
    if done.returncode not in fine:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()[-LAST_WORDS:]
        raise ActionFailed(f"{words[0]} ended with code {done.returncode}: {said}")
    return done.stdout.decode(errors="replace")


PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/lib/systemd"
