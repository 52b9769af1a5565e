"""Large pictures share the memory they are decoded in, in the order they came; small ones never wait for them."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bundle.errors import Busy, Expired
from server.pool import Gone
from server.room import SMALL, Room

LARGE = SMALL + 1


def test_who_fits_need_not_wait():
    room = Room(2 * LARGE, 2)
    with room.hold(LARGE, timeout_s=0), room.hold(LARGE, timeout_s=0):
        pass


def test_who_does_not_fit_is_told_at_its_deadline():
    room = Room(2 * LARGE - 1, 2)
    with (
        room.hold(LARGE, timeout_s=0),
        pytest.raises(Expired, match=r"free within 0\.01 s; send it smaller$"),
        room.hold(LARGE, timeout_s=0.01),
    ):
        pass


def test_small_one_needs_no_room():
    room = Room(LARGE, 1)
    with room.hold(LARGE, timeout_s=0), room.hold(SMALL, timeout_s=0):
        pass


def test_one_that_is_larger_than_the_room_goes_alone():
    room = Room(LARGE, 2)
    with room.hold(9 * LARGE, timeout_s=0), pytest.raises(Expired), room.hold(LARGE, timeout_s=0):
        pass
    with room.hold(LARGE, timeout_s=0):
        pass


def test_one_too_many_is_told_at_once():
    room = Room(LARGE, 1)
    with room.hold(LARGE, timeout_s=0), pytest.raises(Busy), room.hold(LARGE, timeout_s=60):
        pass


def test_room_and_place_are_free_again_after_an_error():
    room = Room(LARGE, 1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), room.hold(LARGE, timeout_s=0):
            _ = 1 / 0


def test_those_that_wait_are_let_in_as_they_came(until):
    """The second would fit beside the one that is in, but the first was there before it."""
    room, order = Room(3 * LARGE, 3), []

    def enter(size):
        with room.hold(size, timeout_s=60):
            order.append(size)

    with ThreadPoolExecutor(2) as threads, room.hold(LARGE, timeout_s=0):
        threads.submit(enter, 3 * LARGE)
        assert until(lambda: len(room._line) == 1)
        threads.submit(enter, LARGE)
        assert until(lambda: len(room._line) == 2)
        assert order == []
    assert order == [3 * LARGE, LARGE]


def test_client_that_leaves_waits_no_longer():
    room, gone = Room(LARGE, 2), Gone()
    with room.hold(LARGE, timeout_s=0):
        threading.Timer(0.05, gone.set).start()
        with pytest.raises(Expired), room.hold(LARGE, timeout_s=60, gone=gone):
            pass
