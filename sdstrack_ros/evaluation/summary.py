"""From records to numbers: per run, per tracker and condition, and in each benchmark's own terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DatasetError
from .longterm import ConfidentTrack, long_term_score
from .metrics import Accuracy, accuracy, averaged
from .overlap import FloatArray, has_box, ious
from .protocols import SINGLE_TRUTH, TWO_TRUTHS, Tally, summarize, visevent
from .results import SequenceResult
from .robustness import answer_rate, false_confident_rate, latency, recovery_frames, retention

COMPLETE = 'complete'
ROUNDED = ('lasher', 'rgbt234', 'gtot')  # the rgbt toolkit rounds boxes to pixels when it reads them


@dataclass(frozen=True, eq=False)
class RunScore:
    """One record judged. The first frame is given, so it is left out; IoU is NaN where truth is unknown."""

    result: SequenceResult
    accuracy: Accuracy | None
    iou: FloatArray  # (T,)
    recoveries: list[int | None]

    def row(self) -> dict[str, Any]:
        """The numbers of this run, ready for JSON and CSV; times in ms; None = undefined."""
        result, acc = self.result, self.accuracy
        times = latency(result.latency[1:])
        known = result.judged.copy()
        known[:1] = False
        row: dict[str, Any] = {
            'sequence': result.sequence,
            'benchmark': result.benchmark,
            'tracker': result.tracker,
            'condition': result.condition,
            'frames': len(result),
            'judged_frames': acc.frames if acc else 0,
            'mean_iou': acc.mean_iou if acc else None,
            'success_auc': acc.success_auc if acc else None,
            'precision_20': acc.precision_20 if acc else None,
            'normalized_precision': acc.normalized_precision if acc else None,
            'answer_rate': answer_rate(result.boxes[1:], result.fresh[1:]),
            'false_confident_rate': false_confident_rate(np.nan_to_num(self.iou), result.states, known),
            'outages': len(self.recoveries),
            'unrecovered': sum(r is None for r in self.recoveries),
            'recovery_frames': _mean([float(r) for r in self.recoveries if r is not None]),
            'latency_p50_ms': times.p50 * 1e3 if times else None,
            'latency_p95_ms': times.p95 * 1e3 if times else None,
            'latency_p99_ms': times.p99 * 1e3 if times else None,
        }
        return {key: _plain(value) for key, value in row.items()}


def score_run(result: SequenceResult) -> RunScore:
    """Judge one record."""
    judged = result.judged & has_box(result.truth)
    iou = np.where(result.judged, ious(result.boxes, result.truth), np.nan)
    after_first = np.where(judged[:, None], result.truth, np.nan)[1:]
    recoveries = []
    if result.condition != COMPLETE:
        recoveries = recovery_frames(np.nan_to_num(iou), result.present, judged)
    return RunScore(result, accuracy(result.boxes[1:], after_first), iou, recoveries)


def score_groups(scores: Sequence[RunScore]) -> list[dict[str, Any]]:
    """One row per tracker and condition: means over sequences, all with the same weight.

    Retention compares each degraded mean with the same tracker's complete mean over the same sequences.
    """
    rows = []
    for tracker, condition in _ordered({(s.result.tracker, s.result.condition) for s in scores}):
        own = [s for s in scores if (s.result.tracker, s.result.condition) == (tracker, condition)]
        complete = {
            s.result.sequence: s.row()
            for s in scores
            if s.result.tracker == tracker and s.result.condition == COMPLETE
        }
        table = [s.row() for s in own]
        row: dict[str, Any] = {'tracker': tracker, 'condition': condition, 'sequences': len(own)}
        for key in _MEANS:
            row[key] = _mean([r[key] for r in table if r[key] is not None])
        row['outages'] = sum(r['outages'] for r in table)
        row['unrecovered'] = sum(r['unrecovered'] for r in table)
        for key, name in (('success_auc', 'retention_success'), ('precision_20', 'retention_precision')):
            pairs = [(r[key], complete[r['sequence']][key]) for r in table if r['sequence'] in complete]
            usable = [(a, b) for a, b in pairs if a is not None and b is not None]
            degraded, whole = (_mean([pair[i] for pair in usable]) for i in (0, 1))
            row[name] = None if degraded is None or whole is None else _plain(retention(degraded, whole))
        rows.append(row)
    return rows


def mean_accuracy(scores: Sequence[RunScore], tracker: str, condition: str = COMPLETE) -> Accuracy | None:
    """Curves of one tracker under one condition, averaged over sequences."""
    own = [s for s in scores if (s.result.tracker, s.result.condition) == (tracker, condition)]
    return averaged([s.accuracy for s in own if s.accuracy is not None])


def score_benchmarks(results: Sequence[SequenceResult]) -> list[dict[str, Any]]:
    """The official numbers, for each benchmark, tracker and condition among the records."""
    keys = _ordered({(r.tracker, r.condition) for r in results})
    rows = []
    for benchmark in sorted({r.benchmark for r in results} - {'folder', 'bag'}):
        for tracker, condition in keys:
            own = [
                r for r in results if (r.benchmark, r.tracker, r.condition) == (benchmark, tracker, condition)
            ]
            if own:
                numbers = benchmark_numbers(benchmark, own)
                rows.append({'benchmark': benchmark, 'tracker': tracker, 'condition': condition, **numbers})
    return rows


def benchmark_numbers(benchmark: str, results: Sequence[SequenceResult]) -> dict[str, float]:
    """One benchmark's own numbers over these records of one tracker."""
    if benchmark in ('depthtrack', 'votrgbd'):
        score = long_term_score([_confident(r) for r in results])
        return {'Pr': score.precision, 'Re': score.recall, 'F': score.f_score}
    return summarize(benchmark, [_tally(benchmark, r) for r in results])


def _tally(benchmark: str, result: SequenceResult) -> Tally:
    boxes = np.nan_to_num(result.boxes)
    truth = result.truth
    if benchmark in ROUNDED:
        boxes = np.round(boxes)
    if benchmark in SINGLE_TRUTH:
        return SINGLE_TRUTH[benchmark](boxes, np.nan_to_num(np.round(truth)))
    if benchmark in TWO_TRUTHS:
        if result.truth_x is None:
            raise DatasetError(f'{result.sequence}: {benchmark} needs the infrared truth as well')
        return TWO_TRUTHS[benchmark](boxes, np.nan_to_num(truth), np.nan_to_num(result.truth_x))
    if benchmark == 'visevent':
        unseen = np.zeros((result.skipped, 4))
        boxes, truth = np.concatenate([unseen, boxes]), np.concatenate([unseen, truth])
        return visevent(boxes, truth, has_box(truth))
    raise DatasetError(f'benchmark {benchmark!r} has no rules of its own')


def _confident(result: SequenceResult) -> ConfidentTrack:
    """As the vot-toolkit stores it: the first frame is an initialisation without box or confidence."""
    boxes, scores = result.boxes.copy(), result.scores.copy()
    boxes[0], scores[0] = np.nan, 0.0
    return ConfidentTrack(result.sequence, boxes, scores, result.truth, result.size)


_MEANS = (
    'mean_iou',
    'success_auc',
    'precision_20',
    'normalized_precision',
    'answer_rate',
    'false_confident_rate',
    'recovery_frames',
    'latency_p50_ms',
    'latency_p95_ms',
    'latency_p99_ms',
)


def _ordered(keys: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Ours first, complete first, then by name."""
    return sorted(keys, key=lambda k: (k[0] != 'sdstrack', k[0], k[1] != COMPLETE, k[1]))


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _plain(value: Any) -> Any:
    """JSON has no NaN."""
    return None if isinstance(value, float) and not np.isfinite(value) else value
