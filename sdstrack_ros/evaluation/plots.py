"""The report's figures, as SVG."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..types import TargetState
from .metrics import NORMALIZED_THRESHOLDS, PRECISION_THRESHOLDS, SUCCESS_THRESHOLDS, Accuracy
from .overlap import BoolArray, has_box
from .results import SequenceResult
from .summary import RunScore

TRUTH_COLOR = '#15803d'
OWN_COLOR = '#ea580c'
PEER_COLORS = ('#2563eb', '#7c3aed', '#0891b2', '#be185d', '#4d7c0f', '#92400e')
STATE_COLORS = {
    TargetState.IDLE: '#d1d5db',
    TargetState.TRACKING: '#86c99b',
    TargetState.UNCERTAIN: '#f2c14e',
    TargetState.LOST: '#d9534f',
}
_MISSING = (('RGB missing', '#ef4444', (False, True)), ('X missing', '#3b82f6', (True, False)))
_STYLE: Any = {
    'svg.fonttype': 'none',
    'svg.hashsalt': 'sdstrack',
    'font.family': 'sans-serif',
    'font.sans-serif': ['Helvetica', 'Arial', 'DejaVu Sans'],
    'font.size': 9,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.edgecolor': '#9ca3af',
    'axes.labelcolor': '#374151',
    'xtick.color': '#6b7280',
    'ytick.color': '#6b7280',
    'axes.grid': True,
    'grid.color': '#e5e7eb',
    'grid.linewidth': 0.7,
    'legend.frameon': False,
    'legend.fontsize': 8.5,
}


def tracker_colors(trackers: Sequence[str]) -> dict[str, str]:
    """Ours orange, the others in a fixed order."""
    peers = [name for name in trackers if name != 'sdstrack']
    colors = {name: PEER_COLORS[i % len(PEER_COLORS)] for i, name in enumerate(peers)}
    return {**colors, 'sdstrack': OWN_COLOR}


def success_and_precision(curves: Mapping[str, Accuracy]) -> bytes:
    """Success, precision and normalised precision plots of several trackers."""
    colors = tracker_colors(list(curves))
    with _figure(9.6, 3.1, 3) as (figure, axes):
        for name, acc in curves.items():
            style: dict[str, Any] = {'color': colors[name], 'linewidth': 2.2 if name == 'sdstrack' else 1.4}
            axes[0].plot(SUCCESS_THRESHOLDS, acc.success, label=f'{name}  {acc.success_auc:.3f}', **style)
            axes[1].plot(
                PRECISION_THRESHOLDS, acc.precision, label=f'{name}  {acc.precision_20:.3f}', **style
            )
            axes[2].plot(
                NORMALIZED_THRESHOLDS,
                acc.normalized,
                label=f'{name}  {acc.normalized_precision:.3f}',
                **style,
            )
        axes[1].axvline(20, color='#9ca3af', linewidth=0.8, linestyle=':')
        axes[2].axvline(0.2, color='#9ca3af', linewidth=0.8, linestyle=':')
        titles = ('Success', 'Precision', 'Normalised precision')
        labels = ('IoU above', 'centre error within, px', 'centre error within, box sizes')
        for ax, title, label in zip(axes, titles, labels, strict=True):
            ax.set(title=title, xlabel=label, ylim=(0, 1.02))
            ax.set_xlim(left=0)
            ax.legend(loc='best', handlelength=1.2)
        axes[0].set_ylabel('share of frames')
        return _svg(figure)


def timeline(own: RunScore, others: Sequence[RunScore]) -> bytes:
    """IoU and score of one sequence over time, with outages and the target's state."""
    result = own.result
    seconds = (result.stamps_ns - result.stamps_ns[0]) * 1e-9
    colors = tracker_colors([own.result.tracker, *(o.result.tracker for o in others)])
    with _figure(9.6, 2.5, 1) as (figure, (ax,)):
        _shade_outages(ax, seconds, result)
        for other in others:
            _draw_iou(ax, other, colors[other.result.tracker], 1.1)
        if len(result) > 1 and np.ptp(result.scores[1:]) > 0:  # some trackers give none
            ax.plot(seconds, result.scores, color='#6b7280', linewidth=0.9, linestyle='--', label='score')
        _draw_iou(ax, own, colors[result.tracker], 2.0)
        _state_band(ax, seconds, result)
        last = max(float(seconds[-1]), 1e-3)
        ax.set(xlabel='time, s', ylabel='IoU, score', ylim=(-0.09, 1.03), xlim=(0, last))
        ax.legend(loc='upper left', bbox_to_anchor=(1.005, 1.0), handlelength=1.4, borderaxespad=0)
        return _svg(figure)


def latency_histogram(scores: Sequence[RunScore]) -> bytes:
    """Processing time per frame and tracker, on a logarithmic axis."""
    by_tracker: dict[str, list[float]] = {}
    for score in scores:
        taken = score.result.latency[1:]
        by_tracker.setdefault(score.result.tracker, []).extend(1e3 * taken[np.isfinite(taken)])
    by_tracker = {name: times for name, times in by_tracker.items() if times}
    colors = tracker_colors(list(by_tracker))
    with _figure(9.6, 2.6, 1) as (figure, (ax,)):
        if by_tracker:
            every = np.concatenate([np.array(times) for times in by_tracker.values()]).clip(0.05)
            bins = np.geomspace(every.min() * 0.9, every.max() * 1.1, 60)
            for name, times in by_tracker.items():
                shares = np.full(len(times), 1 / len(times))
                median = float(np.median(times))
                ax.hist(
                    np.clip(times, 0.05, None),
                    bins=bins.tolist(),
                    weights=shares,
                    histtype='stepfilled',
                    alpha=0.35,
                    color=colors[name],
                    label=f'{name}  median {median:.1f} ms',
                )
                ax.axvline(max(median, 0.05), color=colors[name], linewidth=1.2)
            ax.set_xscale('log')
            ax.xaxis.set_major_formatter(lambda value, _: f'{value:g}')
            ax.legend()
        ax.set(xlabel='time per frame, ms', ylabel='share of frames')
        return _svg(figure)


def degradation(rows: Sequence[Mapping[str, object]]) -> bytes | None:
    """Success over the share of missing frames, per tracker and sensor; None without at least three rates."""
    lines: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in rows:
        kind, _, rate = str(row['condition']).partition(':')
        auc = row['success_auc']
        if kind in ('rgb', 'x') and isinstance(auc, float):
            lines.setdefault((str(row['tracker']), kind), []).append((float(rate), auc))
    lines = {key: sorted(points) for key, points in lines.items() if len(points) >= 3}
    if not lines:
        return None
    colors = tracker_colors([tracker for tracker, _ in lines])
    with _figure(5.6, 2.9, 1) as (figure, (ax,)):
        for (tracker, kind), points in lines.items():
            rates, aucs = np.array(points).T
            style = '-' if kind == 'rgb' else '--'
            label = f'{tracker}, {"RGB" if kind == "rgb" else "X"} missing'
            ax.plot(rates * 100, aucs, style, marker='.', color=colors[tracker], label=label)
        ax.set(xlabel='frames without the sensor, %', ylabel='success AUC', ylim=(0, None))
        ax.legend()
        return _svg(figure)


def _draw_iou(ax: Axes, score: RunScore, color: str, width: float) -> None:
    result = score.result
    seconds = (result.stamps_ns - result.stamps_ns[0]) * 1e-9
    seen = result.judged & has_box(result.truth)
    curve = np.where(seen, score.iou, np.nan)
    ax.plot(seconds, curve, color=color, linewidth=width, label=f'IoU {result.tracker}')


def _shade_outages(ax: Axes, seconds: np.ndarray, result: SequenceResult) -> None:
    if result.condition != 'complete':
        for name, color, pattern in _MISSING:
            during = np.all(result.present == np.array(pattern), axis=1)
            _spans(ax, seconds, np.asarray(during), color, 0.16, name)
        _spans(ax, seconds, np.asarray(~result.present.any(axis=1)), '#111827', 0.22, 'both missing')
    absent = result.judged & ~has_box(result.truth)
    _spans(ax, seconds, absent, '#a3a3a3', 0.25, 'target not visible')


def _spans(ax: Axes, seconds: np.ndarray, during: BoolArray, color: str, alpha: float, label: str) -> None:
    """Shade runs of frames, each up to the next frame."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], during, [False]]).astype(np.int8)))
    for i, (first, end) in enumerate(zip(edges[::2], edges[1::2], strict=True)):
        stop = seconds[end] if end < len(seconds) else seconds[-1]
        ax.axvspan(seconds[first], stop, color=color, alpha=alpha, linewidth=0, label=None if i else label)


def _state_band(ax: Axes, seconds: np.ndarray, result: SequenceResult) -> None:
    for state, color in STATE_COLORS.items():
        here = result.states == int(state)
        if here.any():
            ax.fill_between(
                seconds, -0.08, -0.03, where=here.tolist(), step='mid', color=color, linewidth=0,
                label=state.name.lower(),
            )  # fmt: skip


@contextmanager
def _figure(width: float, height: float, columns: int) -> Iterator[tuple[Figure, list[Axes]]]:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout='constrained')
        axes = figure.subplots(1, columns, squeeze=False)
        yield figure, list(axes[0])


def _svg(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format='svg', metadata={'Date': None})
    return out.getvalue()
