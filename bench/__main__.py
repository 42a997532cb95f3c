"""`python -m bench [NAME ...]`: measure, show a table, and write bench/latest.json."""

import argparse
import signal
import sys

from bench import report, rig
from bench.declare import Bench, Unfair, benches
from eim_project.processes import StackError

REPETITIONS = 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="Measure the claims about speed beside their floors.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; all if none is named")
    parser.add_argument(
        "--times", type=int, default=REPETITIONS, help="how often each is measured (default: %(default)s)"
    )
    asked = parser.parse_args()
    names, times = asked.names, asked.times
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else the data folder would stay
    try:
        with rig.start() as measured:
            if unknown := [name for name in names if name not in benches()]:
                parser.error(f"there is no bench {unknown[0]!r}; there are {', '.join(benches())}")
            results = [
                measure(bench, measured, times) for name, bench in benches().items() if not names or name in names
            ]
    except (StackError, Unfair) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    report.show(results)
    report.write(results)
    return 0


def measure(bench: Bench, measured: rig.Rig, times: int) -> report.Result:
    """Ours and the floor in turn, so that whatever else the machine does meets both."""
    report.progress(bench.name)
    measured.tidy()
    result = report.Result(bench)
    with bench.around(measured):
        try:
            bench.check(measured)
        except Unfair as unfair:
            raise Unfair(f"{bench.name}: {unfair}") from unfair
        for _ in range(times):
            result.ours.append(bench.ours.measure(measured))
            result.floor.append(bench.floor.measure(measured))
    return result


if __name__ == "__main__":
    sys.exit(main())
