"""Keeps what the tracker says, with the times of receipt, and finds the answer to each frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sdstrack.msg import TrackedBox, TrackerHealth

from ..evaluation.overlap import BoolArray, FloatArray
from ..evaluation.results import SequenceResult
from ..evaluation.runner import NO_BOX
from ..evaluation.sequences import EvaluationSequence
from ..node.conversions import stamp_of
from ..types import Box, Mode
from .station import Station


class Heard(NamedTuple):
    """A box, and time.monotonic_ns() at its receipt."""

    received_ns: int
    message: TrackedBox

    @property
    def stamp_ns(self) -> int:
        return stamp_of(self.message.header)

    @property
    def blind(self) -> bool:
        """Whether it answers to no frame: it tells of the silence of both sensors."""
        return bool(self.message.mode == TrackedBox.BLIND)

    @property
    def box(self) -> Box | None:
        """x, y, w, h px; None where the message has none."""
        m = self.message
        if m.size_x <= 0 or m.size_y <= 0:
            return None
        return Box.from_center(m.center_x, m.center_y, m.size_x, m.size_y)


class HealthHeard(NamedTuple):
    """A health message, and time.monotonic_ns() at its receipt."""

    received_ns: int
    message: TrackerHealth


class Recorder:
    """Listens from now on; `forget` starts anew."""

    def __init__(self, station: Station) -> None:
        self.boxes: list[Heard] = []
        self.healths: list[HealthHeard] = []
        station.on_box = lambda message, now_ns: self.boxes.append(Heard(now_ns, message))
        station.on_health = lambda message, now_ns: self.healths.append(HealthHeard(now_ns, message))

    def forget(self) -> None:
        self.boxes.clear()
        self.healths.clear()

    def answers(self) -> dict[int, Heard]:
        """By the stamp of the frame that each one answers to."""
        found: dict[int, Heard] = {}
        for heard in self.boxes:
            if not heard.blind:
                found.setdefault(heard.stamp_ns, heard)
        return found


def result_of(
    sequence: EvaluationSequence,
    start_ns: int,
    answers: dict[int, Heard],
    sent_ns: dict[int, int],
    *,
    tracker: str,
    condition: str,
    size: tuple[int, int],
) -> SequenceResult:
    """The answers in the layout of the evaluation, from the frame that set the target on.

    One row per RGB frame, or per X frame that was answered in its place: an RGB frame that could not be used
    has no row of its own then. A frame without an answer has the last box, held. sent_ns: (stamp) to the time
    of sending, for the latency, which is the time from there to the receipt of the box.
    """
    told = {stamp for stamp in answers if stamp >= start_ns}
    frames = [int(stamp) for stamp in sequence.stamps_ns if stamp >= start_ns]
    stamps = sorted(told | set(frames) - answered_frames(frames, answers, sequence.tolerance_ns))
    rows = [sequence.truth.row_at(stamp, sequence.tolerance_ns) for stamp in stamps]
    judged = np.array([row is not None for row in rows])
    truth = np.array([sequence.truth.boxes[row] if row is not None else NO_BOX for row in rows])
    heard, last = [], None
    for stamp in stamps:
        last = answers.get(stamp, last)
        heard.append(last)
    answered = np.array([stamp in answers for stamp in stamps])
    boxes = np.array([each.box or NO_BOX if each else NO_BOX for each in heard], dtype=np.float64)
    held = np.array([each.message.held if each else False for each in heard]) | ~answered
    modes = np.array([each.message.mode if each else int(Mode.BLIND) for each in heard])
    latency = [
        (answers[stamp].received_ns - sent_ns[stamp]) / 1e9
        if stamp in answers and stamp in sent_ns
        else np.nan
        for stamp in stamps
    ]
    return SequenceResult(
        sequence=sequence.name,
        benchmark=sequence.benchmark,
        tracker=tracker,
        condition=condition,
        stamps_ns=np.array(stamps, dtype=np.int64),
        boxes=boxes,
        scores=np.array([each.message.score if each else 0.0 for each in heard], dtype=np.float64),
        states=np.array([each.message.state if each else 0 for each in heard]),
        modes=modes,
        held=held,
        fresh=answered & ~held & np.isfinite(boxes).all(axis=1),
        latency=np.array(latency),
        present=_present(modes),
        truth=truth,
        judged=judged,
        size=size,
        notes=sequence.notes,
    )


def answered_frames(stamps_ns: Sequence[int], answers: Mapping[int, Heard], tolerance_ns: int) -> set[int]:
    """Which RGB frames have an answer of their own, or one that X gave in their place at about their time."""
    of_x = np.array(sorted(set(answers) - set(stamps_ns)), dtype=np.int64)
    first = np.searchsorted(of_x, np.array(stamps_ns, dtype=np.int64) - tolerance_ns)
    return {
        stamp
        for stamp, i in zip(stamps_ns, first, strict=True)
        if stamp in answers or (i < len(of_x) and of_x[i] <= stamp + tolerance_ns)
    }


def positions_of(stamps: npt.NDArray[np.int64], answers: dict[int, Heard]) -> FloatArray:
    """(T,3) m, camera optical frame; NaN where none was measured."""
    rows = []
    for stamp in stamps:
        heard = answers.get(int(stamp))
        at = heard.message.position if heard and heard.message.has_position else None
        rows.append((at.x, at.y, at.z) if at is not None else (np.nan,) * 3)
    return np.array(rows, dtype=np.float64)


def inference_times_of(stamps: npt.NDArray[np.int64], answers: dict[int, Heard]) -> FloatArray:
    """(T,) s, what the tracker itself took; NaN where a frame was not answered."""
    heard = [answers.get(int(stamp)) for stamp in stamps]
    return np.array([each.message.inference_time if each else np.nan for each in heard])


def _present(modes: npt.NDArray[np.int64]) -> BoolArray:
    """(T,2) whether RGB and X were used."""
    rgb = np.isin(modes, (int(Mode.FUSED), int(Mode.RGB_ONLY)))
    x = np.isin(modes, (int(Mode.FUSED), int(Mode.X_ONLY)))
    return np.stack([rgb, x], axis=1)
