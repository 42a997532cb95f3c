"""The harness itself: what it calls dearer, noisy and unfair."""

import pytest

from bench import report
from bench.declare import Bench, Side, Unfair, Unit
from bench.load import percentile
from bench.rest import must_be_equal


def test_more_milliseconds_and_fewer_calls_a_second_are_dearer():
    assert Unit.MS.times(ours=6, floor=2) == 3
    assert Unit.PER_SECOND.times(ours=100, floor=300) == 3


def test_the_median_counts_and_the_distance_of_the_repetitions_is_told():
    side = Side("it", lambda rig: {})
    result = report.Result(
        Bench("b", side, side, {"p50": Unit.MS}),
        ours=[{"p50": 4.0}, {"p50": 9.0}, {"p50": 5.0}], floor=[{"p50": 2.0}] * 3,
    )  # fmt: skip
    [row] = result.rows()
    assert (row["ours"], row["ours_noise"], row["floor_noise"], row["times_floor"]) == (5.0, 1.0, 0.0, 2.5)


@pytest.mark.parametrize(("percent", "is_it"), [(50, 51), (99, 100), (100, 100)])
def test_percentiles_are_numbers_that_were_measured(percent, is_it):
    assert percentile(range(1, 101), percent) == is_it


def test_a_floor_that_answers_less_is_none():
    must_be_equal({"hosts": [{"name": "a", "id": 1}]}, {"hosts": [{"name": "a", "id": 2}]}, apart_from={"id"})
    for floor in ({"hosts": []}, {"hosts": [{"name": "b"}]}, {"hosts": [{}]}):
        with pytest.raises(Unfair, match="hosts"):
            must_be_equal({"hosts": [{"name": "a"}]}, floor)
