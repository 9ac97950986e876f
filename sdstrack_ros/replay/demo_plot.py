"""IoU, modes, health and latency over the time of the demo, on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..evaluation.overlap import has_box
from ..evaluation.summary import RunScore
from ..sensing.health import Level
from ..types import Mode, SensorState, TargetState
from .demo_film import MODE_COLORS
from .demo_metrics import HealthSpan
from .session import Replayed

GOOD, FAIR, POOR, NONE = '#86c99b', '#f2c14e', '#d9534f', '#d1d5db'
_LEVELS = {Level.OK: GOOD, Level.WARN: FAIR, Level.ERROR: POOR}
_SENSORS = {
    SensorState.NOT_RECEIVED: NONE,
    SensorState.OK: GOOD,
    SensorState.SLOW: FAIR,
    SensorState.STALE: POOR,
    SensorState.INVALID: POOR,
}
_STATES = {
    TargetState.IDLE: NONE,
    TargetState.TRACKING: GOOD,
    TargetState.UNCERTAIN: FAIR,
    TargetState.LOST: POOR,
}
_MODES = {Mode.FUSED: 'fused', Mode.RGB_ONLY: 'RGB only', Mode.X_ONLY: 'X only', Mode.BLIND: 'blind'}
_STYLE: Any = {
    'font.size': 9,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.edgecolor': '#9ca3af',
    'axes.labelcolor': '#374151',
    'xtick.color': '#6b7280',
    'ytick.color': '#374151',
    'legend.frameon': False,
    'legend.fontsize': 8.5,
}


def write_plot(
    path: Path,
    replayed: Replayed,
    score: RunScore,
    spans: Sequence[HealthSpan],
    silence: tuple[float, float],
    x_name: str,
) -> None:
    """A PNG; the silence of X, which is called `x_name`, is shaded throughout."""
    result = replayed.result
    seconds = (result.stamps_ns - result.stamps_ns[0]) / 1e9
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9.6, 5.4), dpi=130, layout='constrained')
        top, bands, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 1.4))
        for axes in (top, bands, bottom):
            axes.axvspan(*silence, color='#3b82f6', alpha=0.12, linewidth=0)
        _draw_accuracy(top, seconds, score)
        top.text(sum(silence) / 2, 1.03, f'{x_name} silent', color='#1d4ed8', ha='center', va='bottom')
        _draw_bands(bands, seconds, replayed, spans, x_name)
        _draw_latency(bottom, seconds, replayed)
        bottom.set(xlabel='time, s', xlim=(0, max(float(seconds[-1]), 1e-3)))
        figure.savefig(path)


def _draw_accuracy(axes: Axes, seconds: np.ndarray, score: RunScore) -> None:
    result = score.result
    iou = np.where(result.judged & has_box(result.truth), score.iou, np.nan)
    axes.plot(seconds, result.scores, color='#9ca3af', linewidth=1.0, linestyle='--', label='score')
    axes.plot(seconds, iou, color='#ea580c', linewidth=2.0, label='IoU')
    axes.set(ylabel='IoU, score', ylim=(0, 1.02))
    axes.grid(axis='y', color='#e5e7eb', linewidth=0.7)
    axes.legend(loc='upper left', bbox_to_anchor=(1.005, 1.0), borderaxespad=0)


def _draw_bands(
    axes: Axes, seconds: np.ndarray, replayed: Replayed, spans: Sequence[HealthSpan], x_name: str
) -> None:
    result = replayed.result
    ends = np.append(seconds[1:], seconds[-1])
    modes, states = result.modes.tolist(), result.states.tolist()
    rows: list[tuple[str, list[tuple[float, float, str]]]] = [
        ('answers', [(a, b, MODE_COLORS[Mode(m)]) for a, b, m in zip(seconds, ends, modes, strict=True)]),
        ('target', [(a, b, _STATES[TargetState(s)]) for a, b, s in zip(seconds, ends, states, strict=True)]),
        ('health', [(span.start, span.end, _LEVELS[span.level]) for span in spans]),
        ('RGB', [(span.start, span.end, _SENSORS[span.rgb]) for span in spans]),
        (x_name, [(span.start, span.end, _SENSORS[span.x]) for span in spans]),
    ]  # fmt: skip
    for height, (_, pieces) in enumerate(rows):
        ranges = [(start, end - start) for start, end, _ in pieces]
        axes.broken_barh(ranges, (height - 0.36, 0.72), facecolors=[c for _, _, c in pieces], linewidth=0)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.invert_yaxis()
    axes.tick_params(axis='y', length=0)
    seen = sorted({int(mode) for mode in result.modes})
    handles = [Patch(color=MODE_COLORS[Mode(m)], label=_MODES[Mode(m)]) for m in seen]
    handles += [Patch(color=c, label=w) for c, w in ((GOOD, 'good'), (FAIR, 'warning'), (POOR, 'bad'))]
    axes.legend(handles=handles, loc='upper left', bbox_to_anchor=(1.005, 1.0), borderaxespad=0)


def _draw_latency(axes: Axes, seconds: np.ndarray, replayed: Replayed) -> None:
    times = replayed.result.latency * 1e3
    axes.plot(seconds, times, '.', color='#475569', markersize=3)
    known = times[np.isfinite(times)]
    if len(known):
        axes.axhline(float(np.median(known)), color='#475569', linewidth=0.8, linestyle=':')
    axes.set(ylabel='latency, ms', ylim=(0, None))
    axes.grid(axis='y', color='#e5e7eb', linewidth=0.7)
