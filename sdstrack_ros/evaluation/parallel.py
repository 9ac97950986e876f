"""Many runs on the processes of one machine: resumable, interruptible, with progress.

A `Job` is one pass of one tracker over one sequence under one condition. Its record is a file; a job whose
record is there and was made in the same way is not run again.
"""

from __future__ import annotations

import ctypes
import hashlib
import multiprocessing
import re
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import cv2
import torch

from ..errors import DatasetError, SdstrackError
from ..model.threads import available_cores
from .contestants import TrackerSpec
from .missing import Condition
from .results import SequenceResult
from .runner import run_sequence
from .sequences import EvaluationSequence


@dataclass(frozen=True, eq=False)
class Job:
    """One run, and the folder of its record."""

    sequence: EvaluationSequence
    tracker: TrackerSpec
    condition: Condition
    folder: Path
    realtime: float | None = None

    @property
    def path(self) -> Path:
        """Where the record goes: readable, and one of its own per job."""
        parts = (self.condition.text, self.tracker.label, self.sequence.name)
        plain = [re.sub(r'[^\w.+-]+', '_', part) for part in parts]
        clash = hashlib.sha256(repr(parts).encode()).hexdigest()[:6]
        return self.folder / plain[0] / plain[1] / f'{plain[2]}-{clash}.npz'

    @property
    def fingerprint(self) -> str:
        """Equal for two jobs that would give the same boxes."""
        sequence, truth = self.sequence, self.sequence.truth
        second = sequence.truth_x
        made_of = (
            sequence.name,
            sequence.benchmark,
            repr(sequence.frames),
            sequence.stamps_ns.tobytes(),
            truth.stamps_ns.tobytes(),
            truth.boxes.tobytes(),
            None if second is None else second.tobytes(),
            self.tracker.identity,
            self.condition.identity,
            self.realtime,
        )
        return hashlib.sha256(repr(made_of).encode()).hexdigest()

    def finished(self) -> SequenceResult | None:
        """The record, if it is there and was made in the same way."""
        if not self.path.exists():
            return None
        try:
            result = SequenceResult.load(self.path)
        except DatasetError:
            return None  # an older or damaged record: the run is repeated
        return result if result.fingerprint == self.fingerprint else None


@dataclass(frozen=True, eq=False)
class Outcome:
    """A job's record, or why there is none."""

    job: Job
    result: SequenceResult | None
    error: str = ''


def run_job(job: Job, on_frame: Callable[[], None] = lambda: None) -> Outcome:
    """Run one job in this process and write its record; errors that a user can mend become text."""
    try:
        tracker = job.tracker.build(job.sequence.modality)
        result = run_sequence(
            job.sequence,
            tracker,
            job.tracker.label,
            job.condition,
            realtime=job.realtime,
            on_frame=on_frame,
        )
    except SdstrackError as error:
        return Outcome(job, None, f'{job.sequence.name}, {job.tracker.label}: {error}')
    result = replace(result, fingerprint=job.fingerprint)
    result.save(job.path)
    return Outcome(job, result)


def run_jobs(
    jobs: Sequence[Job], workers: int, on_progress: Callable[[int], None] = lambda frames: None
) -> Iterator[Outcome]:
    """Outcomes as they come. on_progress gets the number of frames processed so far.

    With one worker everything runs in this process. Leaving the generator early starts no further run.
    """
    if workers <= 1:
        yield from _run_here(jobs, on_progress)
        return
    context = multiprocessing.get_context('spawn')  # fork deadlocks once rclpy or threads were used
    frames: Synchronized[int] = context.Value(ctypes.c_longlong, 0)
    threads = max(1, available_cores() // workers)
    pool = ProcessPoolExecutor(workers, context, _start_worker, (frames, threads))
    try:
        pending: set[Future[Outcome]] = {pool.submit(_run_in_worker, job) for job in _longest_first(jobs)}
        while pending:
            done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
            on_progress(frames.value)
            for future in done:
                yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _run_here(jobs: Iterable[Job], on_progress: Callable[[int], None]) -> Iterator[Outcome]:
    frames = 0

    def count() -> None:
        nonlocal frames
        frames += 1
        on_progress(frames)

    for job in jobs:
        yield run_job(job, count)


def _longest_first(jobs: Sequence[Job]) -> list[Job]:
    """So that no long sequence is left over for one process at the end."""
    return sorted(jobs, key=lambda job: -len(job.sequence.stamps_ns))


_frames: Synchronized[int] | None = None


def _start_worker(frames: Synchronized[int], threads: int) -> None:
    global _frames
    _frames = frames
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupt ends it without a word; the parent speaks
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)


def _run_in_worker(job: Job) -> Outcome:
    return run_job(job, _count_frame)


def _count_frame() -> None:
    assert _frames is not None
    with _frames.get_lock():
        _frames.value += 1
