"""What of a machine a job may have, beside those that run."""

from __future__ import annotations

import pytest

from harness.errors import UserError
from harness.launch.seats import VISIBLE, Seat, Seats, visible_devices


def taken(seats: Seats, cpus: int = 1, gpus: float = 0.0) -> Seat:
    seat = seats.take(cpus, gpus)
    assert seat is not None
    return seat


def test_jobs_have_processors_until_none_is_free() -> None:
    seats = Seats(3)
    first = taken(seats, 2)
    assert seats.take(2, 0) is None
    taken(seats, 1)
    seats.give_back(first)
    assert seats.has_room(2, 0)


def test_shares_of_gpus_are_spread_over_the_emptiest_and_a_job_sees_its_own_alone() -> None:
    seats = Seats(1, ["4", "7"])
    shares = [taken(seats, gpus=0.5) for _ in range(4)]
    assert [seat.environment[VISIBLE] for seat in shares] == ["4", "7", "4", "7"]
    assert seats.take(1, 0.5) is None
    seats.give_back(shares[1])
    seats.give_back(shares[3])
    assert taken(seats, gpus=1.0).environment == {VISIBLE: "7"}


def test_a_third_fits_three_times_and_two_gpus_are_seen_together() -> None:
    assert Seats(None, ["0"]).count(1, 1 / 3) == 3
    assert taken(Seats(1, ["0", "1"]), gpus=2.0).environment == {VISIBLE: "0,1"}


def test_a_number_of_workers_bounds_all() -> None:
    seats = Seats(None, (), 1)
    seat = taken(seats, 8)
    assert not seats.has_room(1, 0)
    seats.give_back(seat)
    assert seats.has_room(1, 0)


@pytest.mark.parametrize(
    ("cpus", "gpus", "message"),
    [(1, 1.0, r"gpus = 1 is more than this machine has \(no GPUs\)"), (9, 0.0, r"cpus = 9 .* has \(2 processors\)")],
)
def test_what_would_never_fit_is_refused_with_what_there_is(cpus: int, gpus: float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Seats(2).check(cpus, gpus)


def test_gpus_are_named_as_the_process_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "2, 5")
    assert visible_devices(2) == ["2", "5"]
    monkeypatch.delenv(VISIBLE)
    assert visible_devices(2) == ["0", "1"]
