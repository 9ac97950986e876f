"""Runs one tracker over one sequence, frame by frame: the same boxes every time.

In real time (as in the VOT real-time challenge), frames that arrive while the tracker is busy are skipped;
their answer is the last box known. Only then do the boxes depend on the machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ..errors import DatasetError
from ..types import Box, Mode, Observation, TargetState
from .contestants import Answer, Contestant
from .missing import Condition, Mask
from .overlap import has_box
from .results import SequenceResult
from .sequences import EvaluationSequence

NO_BOX = (float('nan'),) * 4


@dataclass
class _Rows:
    """Grows by one row per frame."""

    stamps: list[int] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    latency: list[float] = field(default_factory=list)
    present: list[tuple[bool, bool]] = field(default_factory=list)
    truth_rows: list[int | None] = field(default_factory=list)

    def add(
        self, stamp: int, answer: Answer, latency: float, seen: Observation | None, truth_row: int | None
    ) -> None:
        self.stamps.append(stamp)
        self.answers.append(answer)
        self.latency.append(latency)
        both = (seen.rgb is not None, seen.x is not None) if seen is not None else (False, False)
        self.present.append(both)
        self.truth_rows.append(truth_row)


def run_sequence(
    sequence: EvaluationSequence,
    tracker: Contestant,
    label: str,
    condition: Condition,
    *,
    realtime: float | None = None,
    on_frame: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> SequenceResult:
    """All answers of one pass. The target is set on the first frame with a visible truth.

    realtime: the camera's rate, Hz, at which frames are skipped; None: every frame is processed.
    clock measures the processing, s. DatasetError if no frame has a truth to start from.
    """
    rows = _Rows()
    mask, pace = np.ones((0, 2), dtype=np.bool_), _Pace(realtime)
    expected = sequence.stamps_ns
    skipped, size = sequence.skipped, (0, 0)
    for stamp, observation in _moments(sequence):
        row = sequence.truth.row_at(stamp, sequence.tolerance_ns)
        if not rows.stamps:
            if observation is None or row is None or not has_box(sequence.truth.boxes[row : row + 1])[0]:
                skipped += 1
                on_frame()
                continue
            expected = expected[np.searchsorted(expected, stamp - sequence.tolerance_ns) :]
            mask = condition.mask(sequence.name, expected, skipped)
            height, width = observation.lead.image.shape[:2]
            size = (width, height)
            box = Box.of(sequence.truth.boxes[row])
            begun = clock()
            tracker.start(observation, box)
            answer = Answer(box, 1.0, TargetState.TRACKING, observation.mode, held=False)
            rows.add(stamp, answer, clock() - begun, observation, row)
            pace.busy_for(0.0)  # setting the target is not part of the race
        elif pace.misses_frame(len(rows.stamps)):
            last = rows.answers[-1]
            skip = Answer(last.box, last.score, last.state, last.mode, held=True)
            rows.add(stamp, skip, float('nan'), _masked(observation, mask, expected), row)
        else:
            seen = _masked(observation, mask, expected)
            begun = clock()
            answer = tracker.step(seen, stamp)
            took = clock() - begun
            pace.busy_for(took)
            rows.add(stamp, answer, took, seen, row)
        on_frame()
    if not rows.stamps:
        raise DatasetError(f'{sequence.name}: no frame has a true box to start from')
    return _result(sequence, label, condition, rows, size, skipped)


def _moments(sequence: EvaluationSequence) -> Iterator[tuple[int, Observation | None]]:
    """(stamp, observation) of each frame; None where a camera frame came and neither sensor was usable.

    Such frames count: a tracker that has nothing to see gives no answer, and that is no reason to leave
    the frame out.
    """
    expected, tolerance = sequence.stamps_ns.tolist(), sequence.tolerance_ns
    due = 0
    for observation in sequence.frames:
        stamp = observation.lead.stamp_ns
        while due < len(expected) and expected[due] < stamp - tolerance:
            yield expected[due], None
            due += 1
        while due < len(expected) and expected[due] <= stamp + tolerance:
            due += 1
        yield stamp, observation
    for stamp in expected[due:]:
        yield stamp, None


class _Pace:
    """Which frames a tracker misses: frame i arrives at i / rate, and waits for nobody."""

    def __init__(self, rate: float | None) -> None:
        self._period = 0.0 if rate is None else 1.0 / rate
        self._free_at = 0.0
        self._now = 0.0

    def misses_frame(self, index: int) -> bool:
        self._now = index * self._period
        return bool(self._period) and self._free_at > self._now

    def busy_for(self, seconds: float) -> None:
        self._free_at = self._now + seconds


def _masked(observation: Observation | None, mask: Mask, expected: np.ndarray) -> Observation | None:
    """What the condition leaves of an observation; None if nothing. Frames belong to mask rows by stamp."""
    if observation is None:
        return None
    stamp = observation.lead.stamp_ns
    after = min(int(np.searchsorted(expected, stamp)), len(expected) - 1)
    before = max(after - 1, 0)
    row = min((before, after), key=lambda i: abs(int(expected[i]) - stamp))
    rgb = observation.rgb if mask[row, 0] else None
    x = observation.x if mask[row, 1] else None
    if rgb is None and x is None:
        return None
    if mask[row].all():
        return observation
    return Observation(rgb, x, 'missing on purpose')


def _result(
    sequence: EvaluationSequence,
    label: str,
    condition: Condition,
    rows: _Rows,
    size: tuple[int, int],
    skipped: int,
) -> SequenceResult:
    answers = rows.answers
    judged = np.array([row is not None for row in rows.truth_rows])
    index = np.array([row if row is not None else 0 for row in rows.truth_rows])
    truth = np.where(judged[:, None], sequence.truth.boxes[index], np.nan)
    second = sequence.truth_x
    held = np.array([a.held for a in answers])
    latency = np.array(rows.latency)
    boxes = np.array([a.box or NO_BOX for a in answers], dtype=np.float64)
    modes = np.array([int(a.mode) for a in answers])
    return SequenceResult(
        sequence=sequence.name,
        benchmark=sequence.benchmark,
        tracker=label,
        condition=condition.text,
        stamps_ns=np.array(rows.stamps, dtype=np.int64),
        boxes=boxes,
        scores=np.array([a.score for a in answers], dtype=np.float64),
        states=np.array([int(a.state) for a in answers]),
        modes=modes,
        held=held,
        fresh=~held & has_box(boxes) & ~np.isnan(latency) & (modes != int(Mode.BLIND)),
        latency=latency,
        present=np.array(rows.present),
        truth=truth,
        judged=judged,
        size=size,
        truth_x=None if second is None else np.where(judged[:, None], second[index], np.nan),
        skipped=skipped,
        notes=sequence.notes,
    )
