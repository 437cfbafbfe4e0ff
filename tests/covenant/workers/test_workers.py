"""Tasks come back in order, once each, when workers die; those that kill their workers are given up."""

import os
import signal
import time

import pytest

from covenant.errors import UserError
from covenant.workers import Task, WorkerLost, in_order, shared, workers


def square(number):
    return number * number


def read(digest):
    return shared(digest)


def once_deadly(path, number):
    """Ends its worker the first time."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return number
    os.kill(os.getpid(), signal.SIGKILL)


def deadly():
    os.kill(os.getpid(), signal.SIGKILL)


def failing():
    raise ValueError("of its own")


def slow(number):
    time.sleep(0.02)
    return number, os.getpid()


def tasks(count):
    return [Task(square, (number,), f"square {number}") for number in range(count)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_are_in_order_and_shared_things_are_there(jobs):
    with workers(jobs, things={"d": b"bytes"}) as pool:
        assert list(in_order(pool, tasks(20))) == [number * number for number in range(20)]
        assert list(in_order(pool, [Task(read, ("d",), "read")])) == [b"bytes"]
        with pytest.raises(ValueError, match="of its own"):
            list(in_order(pool, [Task(failing, (), "failing")]))
        assert list(in_order(pool, [])) == []


def test_a_worker_that_dies_takes_nothing_with_it(tmp_path):
    several = tasks(12)
    several[3] = Task(once_deadly, (str(tmp_path / "f"), 3), "three")
    several[8] = Task(once_deadly, (str(tmp_path / "g"), 8), "eight")
    with workers(2) as pool:
        assert list(in_order(pool, several)) == [number if number in (3, 8) else number * number for number in range(12)]


def test_what_kills_its_workers_is_given_up():
    with workers(2) as pool, pytest.raises(WorkerLost) as error:
        list(in_order(pool, [Task(square, (2,), "two"), Task(deadly, (), "point 7")]))
    assert str(error.value) == ("point 7: its worker ended 3 times without a result, the last time without a word; expected it to take less memory, see the "
                                "system's log, and try fewer --jobs")


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_gives_the_same_also_when_a_worker_is_killed():
    pytest.importorskip("distributed", reason="covenant[cluster] is not installed")
    with workers(cluster="local:2", things={"d": b"bytes"}) as pool:
        several = [Task(slow, (number,), f"slow {number}") for number in range(120)]
        found, killed = [], None
        for number, process in in_order(pool, several):
            found.append(number)
            if killed is None and len(found) == 10:
                killed = process
                os.kill(process, signal.SIGKILL)
        assert killed is not None and found == list(range(120))
        assert list(in_order(pool, [Task(read, ("d",), "read")] * 8)) == [b"bytes"] * 8  # the worker in its place has them too


@pytest.mark.parametrize("address", ["local:0", "local:two", "somewhere"])
def test_an_address_that_is_none(address):
    with pytest.raises(UserError) as error, workers(cluster=address):
        pass
    assert str(error.value) == f"--cluster {address!r}: neither tcp://HOST:PORT of a Dask scheduler nor local:N; expected one of the two"
