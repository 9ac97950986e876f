"""What one fault did to the tracker, and whether a promise was broken. Pure: no clock, no wire.

The promises: with one sensor alive its frames are answered; the health changes in time; full fusion is back
within three frames; no answer that rests on a failing sensor looks healthy; the node lives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..sensing.content import ContentSettings
from ..sensing.health import HealthSettings
from ..simulation.faults import FOR_GOOD, MS, SECOND, Fault, Stream
from ..types import Mode, SensorState, TargetState
from .cameras import X_DELAY_NS, CameraMessage
from .recorder import HealthHeard, Heard

ANSWERED = 0.99
CATCHING_UP_NS = 500 * MS  # without answers: they never go back in time, so a late RGB first passes X again
FRAMES_TO_FUSION = 3
SLOP_NS = 20 * MS
TICK_NS = 60 * MS  # the node looks for silence every 30 ms, and the message has to get here
SETTLED_NS = 300 * MS  # a trial's first frames, in which the streams find each other
_USES: dict[Stream, tuple[Mode, ...]] = {'rgb': (Mode.FUSED, Mode.RGB_ONLY), 'x': (Mode.FUSED, Mode.X_ONLY)}
_BEHIND = ('rgb delayed', 'rgb clock')


@dataclass(frozen=True, eq=False)
class Trial:
    """Everything that was sent and heard; all times in ns of one clock, that of the stamps.

    back_ns: from when on both sensors could be received again. sent: (when, what).
    """

    fault: Fault
    begin_ns: int
    end_ns: int
    back_ns: int
    period_ns: int
    sent: Sequence[tuple[int, CameraMessage]]
    boxes: Sequence[Heard]
    healths: Sequence[HealthHeard]
    alive: bool


@dataclass(frozen=True)
class Verdict:
    """answered: share of the live sensor's frames. told_s, limit_s: from the fault to the health saying so.

    fused_after: frames until full fusion. latency_s: median, from a frame's sending to its box. None: does
    not apply. broken: the promises that were, in words. tries: how often it was tried, on a busy machine.
    """

    name: str
    answered: float
    told_s: float | None
    limit_s: float | None
    fused_after: int | None
    false_healthy: int
    latency_s: float
    alive: bool
    broken: tuple[str, ...]
    tries: int = 1


def judge(trial: Trial) -> Verdict:
    """See the module."""
    fault = trial.fault
    view = _View(trial)
    answered = view.answered()
    told_s, limit_s = view.told(), view.limit_s()
    fused_after = view.fused_after()
    false_healthy = view.false_healthy(limit_s)
    strange = view.modes() - fault.modes
    catching_up_ns = CATCHING_UP_NS if fault.name.startswith(_BEHIND) else 0
    floor = ANSWERED - catching_up_ns / (trial.end_ns - trial.begin_ns - SETTLED_NS)
    broken = []
    if not trial.alive:
        broken.append('the node died')
    if answered < floor:
        broken.append(f'answered {answered:.1%}')
    if limit_s is not None and told_s is None:
        broken.append('health never told')
    elif limit_s is not None and told_s is not None and told_s > limit_s:
        broken.append(f'health told after {told_s:.2f} s, not within {limit_s:.2f} s')
    if fault.end_ns < FOR_GOOD and (fused_after is None or fused_after > FRAMES_TO_FUSION):
        broken.append(f'full fusion after {fused_after or "more"} frames')
    if false_healthy:
        broken.append(f'{false_healthy} answers look healthy but are not')
    if strange:
        broken.append('mode ' + ', '.join(sorted(mode.name for mode in strange)))
    return Verdict(
        name=fault.name,
        answered=answered,
        told_s=told_s,
        limit_s=limit_s,
        fused_after=fused_after if fault.end_ns < FOR_GOOD else None,
        false_healthy=false_healthy,
        latency_s=view.latency_s(),
        alive=trial.alive,
        broken=tuple(broken),
    )


class _View:
    """Questions to one trial."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._fault = trial.fault
        self._answers = [heard for heard in trial.boxes if not heard.blind]
        self._start_ns = max(trial.fault.start_ns, trial.begin_ns)
        self._frame_of: dict[Stream, dict[int, CameraMessage]] = {'rgb': {}, 'x': {}}
        self._sent_ns: dict[Stream, dict[int, int]] = {'rgb': {}, 'x': {}}
        for at_ns, message in trial.sent:
            self._frame_of[message.stream].setdefault(message.stamp_ns, message)
            self._sent_ns[message.stream].setdefault(message.stamp_ns, at_ns)

    def answered(self) -> float:
        """Share of the frames of a live sensor with an answer at their moment."""
        streams = self._fault.streams
        live: Stream = 'x' if streams == ('rgb',) else 'rgb'
        stamps = [
            message.stamp_ns
            for _, message in self._trial.sent
            if message.stream == live and not self._struck(message) and self._counts(message)
        ]
        answers = np.array(sorted(heard.stamp_ns for heard in self._answers), dtype=np.int64)
        if not stamps or not len(answers):
            return 0.0
        wanted = np.array(stamps, dtype=np.int64)
        after = np.searchsorted(answers, wanted).clip(1, len(answers) - 1) if len(answers) > 1 else 0
        nearest = np.minimum(np.abs(answers[after] - wanted), np.abs(answers[after - 1] - wanted))
        return float((nearest <= SLOP_NS).mean())

    def told(self) -> float | None:
        """From the start of the fault until the health has said it of every struck sensor, s."""
        if self._fault.state is None:
            return None
        moments = []
        for stream in self._fault.streams:
            found = (
                heard.received_ns
                for heard in self._trial.healths
                if heard.received_ns >= self._start_ns
                and getattr(heard.message, stream).state == self._fault.state
            )
            moments.append(next(found, None))
        known = [each for each in moments if each is not None]
        return (max(known) - self._start_ns) / SECOND if len(known) == len(moments) else None

    def limit_s(self) -> float | None:
        """Within which the health has to say it: one timeout plus one period; None where it need not."""
        if self._fault.state is None:
            return None
        settings, period_ns = HealthSettings(), self._trial.period_ns
        limits = []
        for stream in self._fault.streams:
            sensor = getattr(settings, stream)
            limit = round(sensor.timeout * SECOND)
            if 'frozen' in self._fault.name:  # so many equal frames may be a scene at rest
                limit = max(limit, (ContentSettings().frozen_frames + sensor.invalid_after) * period_ns)
            limits.append(limit)
        return (max(limits) + period_ns + TICK_NS) / SECOND

    def fused_after(self) -> int | None:
        """Pairs sent from the return of the sensor on, until one was answered as a pair; 1 is the first."""
        fused = {heard.stamp_ns for heard in self._answers if heard.message.mode == int(Mode.FUSED)}
        pairs = [
            message
            for _, message in self._trial.sent
            if message.stream == 'rgb'
            and message.time_ns >= self._trial.back_ns
            and not self._struck(message)
        ]
        return next((i for i, message in enumerate(pairs, 1) if message.stamp_ns in fused), None)

    def false_healthy(self, limit_s: float | None) -> int:
        """Answers that look sure of a box without a usable sensor behind them."""
        count = sum(heard.blind and _sure(heard) for heard in self._trial.boxes)
        if limit_s is None or self._fault.state is SensorState.NOT_RECEIVED:
            return count
        for heard in self._answers:
            frame = self._lead(heard)
            if frame is None or not _sure(heard) or not self._struck_for(frame, limit_s):
                continue
            count += any(Mode(heard.message.mode) in _USES[stream] for stream in self._fault.streams)
        return count

    def modes(self) -> set[Mode]:
        """Of the answers to frames from the fault's second frame on."""
        found = set()
        for heard in self._answers:
            frame = self._lead(heard)
            if frame is not None and self._struck_for(frame, self._trial.period_ns / SECOND):
                found.add(Mode(heard.message.mode))
        return found

    def latency_s(self) -> float:
        """Median over the trial; NaN without answers."""
        times = []
        for heard in self._answers:
            sent_ns = self._sent_ns[self._lead_stream(heard)].get(heard.stamp_ns)
            if sent_ns is not None:
                times.append(heard.received_ns - sent_ns)
        return float(np.median(times)) / SECOND if times else float('nan')

    def _taken_ns(self, message: CameraMessage) -> int:
        """When the camera took and would have sent it, without a fault."""
        late = X_DELAY_NS if message.stream == 'x' else 0
        return self._trial.begin_ns + message.index * self._trial.period_ns + late

    def _struck(self, message: CameraMessage) -> bool:
        taken = self._taken_ns(message)
        return message.stream in self._fault.streams and self._fault.start_ns <= taken < self._fault.end_ns

    def _struck_for(self, frame: CameraMessage, seconds: float) -> bool:
        """Whether a frame is of the time in which the fault has lasted for longer than this."""
        taken = self._taken_ns(frame)
        return self._start_ns + seconds * SECOND < taken < self._fault.end_ns

    def _counts(self, message: CameraMessage) -> bool:
        last = self._trial.end_ns - 3 * self._trial.period_ns
        return self._trial.begin_ns + SETTLED_NS <= self._taken_ns(message) < last

    def _lead_stream(self, heard: Heard) -> Stream:
        return 'x' if heard.message.mode == int(Mode.X_ONLY) else 'rgb'

    def _lead(self, heard: Heard) -> CameraMessage | None:
        return self._frame_of[self._lead_stream(heard)].get(heard.stamp_ns)


def _sure(heard: Heard) -> bool:
    return heard.message.state == int(TargetState.TRACKING) and not heard.message.held
