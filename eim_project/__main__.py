"""`python -m eim_project`, what `manage.py up` becomes: start the stack and watch it."""

import argparse
import asyncio
import errno
import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eim_project.settings")

from django.conf import settings

from eim_project import embedded, stack
from eim_project.processes import StackError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--demo", action="store_true", help="then do the main job with a fleet of simulated nodes")
    parser.add_argument("--exit", action="store_true", help="with --demo: end when the job is done")
    parser.add_argument("--fleet", type=int, default=20, metavar="N", help="with --demo: how many nodes (20)")


def main() -> int:
    parser = argparse.ArgumentParser(prog="manage.py up")
    add_arguments(parser)
    options = parser.parse_args()
    job = None
    if options.demo:
        from eim_project.demo import Demo  # what it imports is memory that a stack without a demo needn't hold

        job = Demo(options.fleet)
    try:
        with embedded.claim(settings.EIM_DATA):
            return asyncio.run(stack.up(job, stay=not (options.demo and options.exit)))
    except StackError as error:
        print(f"eim: {error}", file=sys.stderr)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(
            f"eim: the disk is full ({error.filename}): make room, or set EIM_DATA to another folder", file=sys.stderr
        )
    return 1


if __name__ == "__main__":
    sys.exit(main())
