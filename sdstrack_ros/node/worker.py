"""A thread that works on the newest item only."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar('Item')


class LatestWorker(Generic[Item]):
    """Calls `work` in a thread of its own with the newest item submitted; what it has no time for is dropped.

    Errors belong to `work`: one that escapes it is handed to `failed`, and the thread goes on.

        worker = LatestWorker(work=track, failed=report)
        worker.submit(observation)     # never blocks
        worker.stop()
    """

    def __init__(
        self, work: Callable[[Item], None], failed: Callable[[BaseException], None], name: str = 'inference'
    ) -> None:
        self._work = work
        self._failed = failed
        self._condition = threading.Condition()
        self._slot: Item | None = None
        self._busy = False
        self._stopped = False
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many items gave way to a newer one before their turn."""
        return self._dropped

    @property
    def busy(self) -> bool:
        """Whether an item waits or is in work."""
        with self._condition:
            return self._busy or self._slot is not None

    def submit(self, item: Item) -> bool:
        """Hand over an item; False where an older one in the slot gave way to it."""
        with self._condition:
            vacant = self._slot is None
            self._dropped += not vacant
            self._slot = item
            self._condition.notify_all()
        return vacant

    def wait_idle(self, timeout_s: float) -> bool:
        """Block until nothing waits and nothing is in work; False where the time ran out."""
        with self._condition:
            return self._condition.wait_for(lambda: self._slot is None and not self._busy, timeout_s)

    def stop(self) -> None:
        """Let the item in work finish and end the thread. Items submitted afterwards are ignored."""
        with self._condition:
            self._stopped = True
            self._slot = None
            self._condition.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._busy = False
                self._condition.notify_all()
                self._condition.wait_for(lambda: self._slot is not None or self._stopped)
                if self._stopped:
                    return
                item, self._slot = self._slot, None
                self._busy = True
            assert item is not None
            try:
                self._work(item)
            except Exception as error:
                self._failed(error)
            del item  # a frame must not live on while nothing comes
