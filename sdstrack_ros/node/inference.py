"""The target and the thread that follows it: observations in, one answer each out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..errors import BoxError, SdstrackError
from ..tracking.session import Estimate, TargetSession
from ..types import Box, Mode, Observation, TargetState
from .history import History
from .worker import LatestWorker

Answer = Callable[[Observation, Estimate, int], None]


OTHER_CLOCK_NS = 5_000_000_000
"""A box whose stamp is so far ahead of the frames is of another clock: it would wait for ever."""


@dataclass
class _Target:
    """One target. `caught_up`: the frames between its first one and the present have been looked at.

    given: the answer to its first frame, which nobody has to look for.
    """

    id: int
    session: TargetSession
    start_ns: int
    given: Estimate
    caught_up: bool = False


@dataclass(frozen=True)
class _Wish:
    """A target whose frame has not come yet, and the id that was promised for it."""

    box: Box
    stamp_ns: int
    target_id: int


class Inference:
    """Every target is a session of its own, so setting one neither waits for a frame in work nor disturbs it.

    make_session: a new session. answer: called in the worker's thread, once per processed observation, with
    the time that finding it took, ns; never with the answer of a target that has been replaced. complain:
    told what went wrong, maybe for every frame. refuse: told once, why a target that waited for its frame
    cannot start.
    """

    def __init__(
        self,
        make_session: Callable[[], TargetSession],
        history: History,
        catch_up: int,
        now_ns: Callable[[], int],
        answer: Answer,
        complain: Callable[[str], None],
        refuse: Callable[[str], None],
    ) -> None:
        self._make_session = make_session
        self._history = history
        self._catch_up = catch_up
        self._now_ns = now_ns
        self._answer = answer
        self._complain = complain
        self._refuse = refuse
        self._lock = threading.RLock()  # target, wish, history, and that answers are current
        self._target: _Target | None = None
        self._wish: _Wish | None = None
        self._last_id = 0
        self._problem = ''
        self._last: Estimate | None = None
        self._worker = LatestWorker(self._work, self._report)

    @property
    def problem(self) -> str:
        """Why the last observation could not be processed; empty where it was."""
        return self._problem

    @property
    def last(self) -> Estimate | None:
        """The newest answer."""
        return self._last

    @property
    def dropped(self) -> int:
        """Observations that gave way to newer ones, because the network was busy."""
        return self._worker.dropped

    def submit(self, observation: Observation) -> None:
        """Hand over the newest observation; never waits for the network."""
        with self._lock:
            newest = self._history.newest
            if newest is not None and observation.lead.stamp_ns < newest.lead.stamp_ns:
                self.forget_frames()
            self._history.add(observation)
            wish = self._wish
            if wish is not None and (problem := self._of_other_clock(wish.stamp_ns)):
                self._wish = None
                self._refuse(f'target {wish.target_id} could not start: {problem}')
            elif wish is not None and observation.lead.stamp_ns >= wish.stamp_ns:
                self._wish = None
                # its own frame may have been lost on the way: then the one after it, if it came soon
                soon = self._history.covers(wish.stamp_ns)
                try:
                    self._start(wish.box, wish.stamp_ns, wish.target_id, observation if soon else None)
                except SdstrackError as error:
                    self._refuse(f'target {wish.target_id} could not start: {error}')
        self._worker.submit(observation)

    def submit_blind(self) -> None:
        """Neither sensor has a usable frame: what is held ages, and its holder is told when that changes."""
        if not self._worker.busy:
            self._worker.submit(Observation(None, None))

    def set_target(self, box: Box, stamp_ns: int) -> tuple[int, str]:
        """Follow a new target from the frame with this stamp on (0: the newest); its id, and what happens.

        Where that frame has yet to come, the target waits for it. Raises BoxError where the box is degenerate
        or outside the image, or the frame is no longer there or far ahead; the old target then stays.
        """
        with self._lock:
            newest = self._history.newest
            if newest is None or stamp_ns > newest.lead.stamp_ns:
                if not box.is_finite or box.w <= 0 or box.h <= 0:
                    raise BoxError(f'box {tuple(box)} is degenerate: give a centre and a size above 0, px')
                if problem := self._of_other_clock(stamp_ns):
                    raise BoxError(problem)
                self._last_id += 1
                self._wish = _Wish(box, stamp_ns, self._last_id)
                return self._last_id, 'waits for its frame'
            target_id = self._last_id + 1
            self._start(box, stamp_ns, target_id)
            self._wish, self._last_id = None, target_id
            return target_id, 'started'

    def reset(self) -> None:
        """Drop the target, also a waiting one; the next answer is IDLE."""
        with self._lock:
            self._target = self._wish = None

    def forget_frames(self) -> None:
        """The clock was set: frames from before cannot be compared with those to come."""
        with self._lock:
            self._history.clear()
            if self._target is not None:
                self._target.start_ns, self._target.caught_up = 0, True

    def wait_idle(self, timeout_s: float) -> bool:
        """Block until all that was submitted has been answered."""
        return self._worker.wait_idle(timeout_s)

    def stop(self) -> None:
        """End the thread; the observation in work is finished first."""
        self._worker.stop()

    def _of_other_clock(self, stamp_ns: int) -> str:
        """Why no frame with this stamp is to be expected; empty where one may come."""
        newest = self._history.newest
        ahead_ns = 0 if newest is None else stamp_ns - newest.lead.stamp_ns
        if ahead_ns <= OTHER_CLOCK_NS:
            return ''
        return (
            f'the stamp of the box is {ahead_ns / 1e9:.3f} s ahead of the newest frame: its sender and the '
            f'camera use different clocks; give the stamp 0 for the newest frame'
        )

    def _start(self, box: Box, stamp_ns: int, target_id: int, instead: Observation | None = None) -> None:
        """From the frame with this stamp on (0: the newest), or from `instead` where there is none."""
        newest = self._history.newest
        assert newest is not None
        first = newest if stamp_ns == 0 else self._history.at(stamp_ns) or instead
        if first is None:
            age = (newest.lead.stamp_ns - stamp_ns) / 1e9
            raise BoxError(
                f'no frame with the stamp of the box: it is {age:.3f} s older than the newest frame; send '
                f'boxes sooner, give the stamp 0 for the newest frame, or raise the parameter history'
            )
        session = self._make_session()
        session.target_id = target_id - 1  # ids count on from session to session
        session.start(first, box)
        given = Estimate(target_id, TargetState.TRACKING, False, box, 1.0, first.mode)
        self._target = _Target(target_id, session, first.lead.stamp_ns, given)

    def _work(self, observation: Observation) -> None:
        while True:
            target = self._target
            blind = observation.mode is Mode.BLIND
            if target is not None and not blind and observation.lead.stamp_ns < target.start_ns:
                return  # from before the target's first frame
            began = time.perf_counter_ns()
            estimate = self._estimate(target, observation)
            took = time.perf_counter_ns() - began
            with self._lock:
                if self._target is not target:
                    continue  # what was found belongs to a target that nobody wants any more
                last, self._last = self._last, estimate
                if not blind or last is None or _told(last) != _told(estimate):
                    self._answer(observation, estimate, took)
                return

    def _estimate(self, target: _Target | None, observation: Observation) -> Estimate:
        if target is None:
            self._problem = ''
            return Estimate(0, TargetState.IDLE, False, None, 0.0, observation.mode, None)
        if observation.mode is not Mode.BLIND and observation.lead.stamp_ns == target.start_ns:
            self._problem = ''
            return target.given
        try:
            if not target.caught_up and observation.mode is not Mode.BLIND:
                self._step_through_the_past(target, observation)
            estimate = target.session.step(observation, self._now_ns())
            self._problem = ''
            return estimate
        except Exception as error:  # whatever it is, it is reported, and the frame is answered: LOST
            self._report(error)
        return Estimate(target.id, TargetState.LOST, False, None, 0.0, observation.mode, None)

    def _step_through_the_past(self, target: _Target, present: Observation) -> None:
        with self._lock:
            past = self._history.after(target.start_ns, self._catch_up)
        for each in past:
            if each.lead.stamp_ns < present.lead.stamp_ns and self._target is target:
                target.session.step(each, self._now_ns())
        target.caught_up = True

    def _report(self, error: BaseException) -> None:
        if _is_out_of_memory(error):
            self._problem = f'out of memory in inference: {str(error).partition(chr(10))[0]}'
            torch.cuda.empty_cache()
        else:
            self._problem = f'{type(error).__name__}: {error}'
        self._complain(self._problem)


def _told(estimate: Estimate) -> tuple[int, TargetState, Mode, bool, bool]:
    """What a blind answer says anew."""
    return estimate.target_id, estimate.state, estimate.mode, estimate.held, estimate.box is None


def _is_out_of_memory(error: BaseException) -> bool:
    """PyTorch has an error of its own for the GPU; on the CPU it raises a RuntimeError like any other."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
