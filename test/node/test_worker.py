from __future__ import annotations

import threading
import weakref

import pytest

from sdstrack_ros.node.worker import LatestWorker

PATIENCE_S = 5.0


def fail(error: BaseException) -> None:
    pytest.fail(f'unexpected: {error!r}')


def test_only_the_newest_of_the_waiting_items_is_worked_on() -> None:
    entered, go_on, done = threading.Event(), threading.Event(), []

    def work(item: int) -> None:
        done.append(item)
        entered.set()
        assert go_on.wait(PATIENCE_S)

    worker = LatestWorker(work, fail)
    worker.submit(1)
    assert entered.wait(PATIENCE_S)
    assert [worker.submit(item) for item in (2, 3, 4)] == [True, False, False]
    go_on.set()
    assert worker.wait_idle(PATIENCE_S)
    worker.stop()
    assert done == [1, 4]
    assert worker.dropped == 2


def test_an_error_is_reported_and_the_next_item_gets_its_turn() -> None:
    errors: list[BaseException] = []
    done: list[int] = []

    def work(item: int) -> None:
        if item == 1:
            raise MemoryError('out of memory')
        done.append(item)

    worker = LatestWorker(work, errors.append)
    worker.submit(1)
    assert worker.wait_idle(PATIENCE_S)
    worker.submit(2)
    assert worker.wait_idle(PATIENCE_S)
    worker.stop()
    assert [type(error) for error in errors] == [MemoryError]
    assert done == [2]


def test_stop_lets_the_item_in_work_finish_and_forgets_the_waiting_one() -> None:
    entered, done = threading.Event(), []

    def work(item: int) -> None:
        entered.set()
        threading.Event().wait(0.05)
        done.append(item)

    worker = LatestWorker(work, fail)
    worker.submit(1)
    assert entered.wait(PATIENCE_S)
    worker.submit(2)
    worker.stop()
    worker.submit(3)
    assert done == [1]


def test_a_finished_item_is_not_kept_alive() -> None:
    class Item:
        pass

    worker = LatestWorker(lambda item: None, fail)
    item = Item()
    gone = weakref.ref(item)
    worker.submit(item)
    del item
    assert worker.wait_idle(PATIENCE_S)
    worker.stop()
    assert gone() is None
