"""What the demo measured, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..evaluation.overlap import FloatArray
from ..evaluation.robustness import latency
from ..evaluation.summary import RunScore
from ..node.conversions import stamp_of
from ..sensing.health import Level
from ..simulation import SimulatedSequence
from ..types import Mode, SensorState, TargetState
from .session import Replayed


@dataclass(frozen=True)
class HealthSpan:
    """What the node said of itself for a while; times in s after the first frame."""

    start: float
    end: float
    mode: Mode
    level: Level
    rgb: SensorState
    x: SensorState
    message: str


def health_spans(replayed: Replayed, first_ns: int) -> list[HealthSpan]:
    """The health over time, from the first frame to the last, neighbours of the same states joined."""
    last = (int(replayed.result.stamps_ns[-1]) - first_ns) / 1e9
    # What was said before the first frame was of that time only.
    told = [m for _, m in replayed.healths if stamp_of(m.header) >= first_ns]
    times = [(stamp_of(message.header) - first_ns) / 1e9 for message in told]
    times[:1] = [0.0] * len(times[:1])
    spans: list[HealthSpan] = []
    for message, start, end in zip(told, times, [*times[1:], last], strict=True):
        end = min(end, last)
        if end <= start:
            continue
        states = Mode(message.mode), Level(message.level), *_sensors(message)
        if spans and (spans[-1].mode, spans[-1].level, spans[-1].rgb, spans[-1].x) == states:
            start, message.message = spans[-1].start, spans[-1].message
            spans.pop()
        spans.append(HealthSpan(start, end, *states, message.message))
    return spans


def demo_metrics(
    replayed: Replayed, score: RunScore, sequence: SimulatedSequence, silence: tuple[float, float]
) -> dict[str, Any]:
    """Ready for JSON; None where nothing was measured. Times in s or, where the name says so, ms."""
    result = replayed.result
    first_ns = int(sequence.stamps_ns[0])
    seconds = (result.stamps_ns - first_ns) / 1e9
    silent = (seconds >= silence[0]) & (seconds < silence[1])
    spans = health_spans(replayed, first_ns)
    times = latency(result.latency[1:])
    row = score.row()
    return {
        'model': replayed.model,
        'device': replayed.device,
        'modality': sequence.modality.value,
        'size': list(result.size),
        'rate': round(1e9 / float(np.median(np.diff(sequence.stamps_ns))), 3),
        'frames': replayed.frames,
        'answered': replayed.answered,
        'answer_rate': replayed.answer_rate,
        'answers_with_a_box': row['answer_rate'],
        'mean_iou': row['mean_iou'],
        'mean_iou_while_x_is_silent': _mean(score.iou[1:][silent[1:]]),
        'mean_iou_otherwise': _mean(score.iou[1:][~silent[1:]]),
        'false_confident_rate': row['false_confident_rate'],
        'position_error_median': _position_error(replayed, sequence),
        'latency_p50_ms': times.p50 * 1e3 if times else None,
        'latency_p95_ms': times.p95 * 1e3 if times else None,
        'silence_s': [round(each, 3) for each in silence],
        'told_after_s': _told_after(spans, silence[0]),
        'frames_to_full_fusion': _frames_to_fusion(result.modes, seconds, silence[1]),
        'modes': {mode.name: int((result.modes == int(mode)).sum()) for mode in Mode},
        'states': {state.name: int((result.states == int(state)).sum()) for state in TargetState},
        'health': [
            {
                'from_s': round(span.start, 3),
                'to_s': round(span.end, 3),
                'mode': span.mode.name,
                'level': span.level.name,
                'rgb': span.rgb.name,
                'x': span.x.name,
                'message': span.message,
            }
            for span in spans
        ],
        'exit_code': replayed.exit_code,
    }


def _sensors(message: Any) -> tuple[SensorState, SensorState]:
    return SensorState(message.rgb.state), SensorState(message.x.state)


def _told_after(spans: list[HealthSpan], silence_start: float) -> float | None:
    """From the last frame of X until its health says STALE."""
    for span in spans:
        if span.start >= silence_start and span.x is SensorState.STALE:
            return round(span.start - silence_start, 3)
    return None


def _frames_to_fusion(modes: npt.NDArray[np.int64], seconds: FloatArray, silence_end: float) -> int | None:
    """Frames after the return of X, until one is answered from both: 1 is the first one."""
    fused = np.flatnonzero(modes[seconds >= silence_end] == int(Mode.FUSED))
    return int(fused[0]) + 1 if len(fused) else None


def _position_error(replayed: Replayed, sequence: SimulatedSequence) -> float | None:
    """Median distance of the measured position from the true one, as a share of the range."""
    rows = np.searchsorted(sequence.stamps_ns, replayed.result.stamps_ns)
    truth = sequence.positions[rows]
    apart = np.linalg.norm(replayed.positions - truth, axis=1) / np.linalg.norm(truth, axis=1)
    known = np.isfinite(apart)
    return float(np.median(apart[known])) if known.any() else None


def _mean(values: FloatArray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
