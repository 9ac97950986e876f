"""Plans an evaluation, runs what is not done yet, and writes the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DatasetError, SettingError
from ..types import Modality, Mode, TargetState
from .bag_reader import is_bag
from .bag_topics import TopicChoice
from .bags import open_bag
from .contestants import TrackerSpec
from .datasets import find_sequences
from .missing import PATTERNS, RATES, Condition, sweep
from .overlap import has_box
from .parallel import Job, Outcome, run_jobs
from .provenance import provenance
from .report import Report
from .results import SequenceResult, read_benchmark_file
from .sequences import EvaluationSequence

Runner = Callable[[Sequence[Job], Callable[[int], None]], Iterator[Outcome]]


@dataclass(frozen=True)
class SourceOptions:
    """How to read the sources; the topics and the modality are for bags, where '' is found by itself.

    modality: depth, thermal, event, none (RGB alone), or None where the source says it.
    """

    modality: str | None = None
    benchmark: str | None = None
    topics: TopicChoice | None = None
    truth: Path | None = None


def open_sources(sources: Sequence[Path], options: SourceOptions) -> list[EvaluationSequence]:
    """All sequences of bags, sequence folders and data sets; two of the same name are an error."""
    found: list[EvaluationSequence] = []
    for source in sources:
        if is_bag(source):
            if options.modality is None:
                raise SettingError(f'{source}: a bag does not say its modality: add --modality')
            modality = None if options.modality == 'none' else Modality(options.modality)
            found.append(open_bag(source, modality, topics=options.topics, truth=options.truth))
        else:
            found.extend(find_sequences(source, options.benchmark))
    names = [sequence.name for sequence in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DatasetError(f'more than one sequence is named {", ".join(twice)}: evaluate them one by one')
    return found


def parse_conditions(texts: Sequence[str], seed: int) -> list[Condition]:
    """Conditions as in missing.py, complete first; `sweep:rgb`, `sweep:x`, `patterns` stand for many."""
    expanded = ['complete']
    for text in texts:
        if text in ('sweep:rgb', 'sweep:x'):
            expanded += sweep(text.split(':')[1])
        elif text == 'patterns':
            expanded += [f'{pattern}:{rate}' for pattern in PATTERNS for rate in RATES]
        else:
            expanded.append(text)
    return [Condition(text, seed) for text in dict.fromkeys(expanded)]


def plan(
    sequences: Sequence[EvaluationSequence],
    trackers: Sequence[TrackerSpec],
    conditions: Sequence[Condition],
    folder: Path,
    realtime: float | None = None,
) -> list[Job]:
    """All runs. A sequence of RGB alone is run complete only, and by trackers that can do with RGB."""
    return [
        Job(sequence, tracker, condition, folder / 'records', realtime)
        for condition in conditions
        for sequence in sequences
        for tracker in trackers
        if sequence.modality is not None or (condition.is_complete and not tracker.needs_x)
    ]


def evaluate(
    jobs: Sequence[Job],
    sequences: Sequence[EvaluationSequence],
    folder: Path,
    workers: int,
    *,
    published: Sequence[SequenceResult] = (),
    resume: bool = True,
    runner: Runner | None = None,
    on_progress: Callable[[int], None] = lambda frames: None,
) -> dict[str, Any]:
    """Run the jobs that are not done, and write the report of all of them; returns metrics.json.

    published: results of others on the same sequences. resume: keep records made in the same way.
    Raises DatasetError if nothing could be evaluated, SettingError where two trackers have one name.
    """
    _check_names(jobs, published)
    done = {job.path: job.finished() for job in jobs} if resume else {}
    records = {path: result for path, result in done.items() if result is not None}
    errors = []
    left = [job for job in jobs if job.path not in records]
    run = runner or (lambda todo, progress: run_jobs(todo, workers, progress))
    for outcome in run(left, on_progress) if left else ():
        if outcome.result is not None:
            records[outcome.job.path] = outcome.result
        else:
            errors.append(outcome.error)
    results = [records[job.path] for job in jobs if job.path in records] + list(published)
    if not results:
        raise DatasetError('nothing could be evaluated: ' + ('; '.join(errors) or 'there is nothing to run'))
    facts = provenance(list(dict.fromkeys(job.tracker for job in jobs)), workers)
    return Report(results, {s.name: s for s in sequences}, facts, errors).write(folder)


def _check_names(jobs: Sequence[Job], published: Sequence[SequenceResult]) -> None:
    """Results are told apart by the name of their tracker."""
    run = Counter(spec.label for spec in dict.fromkeys(job.tracker for job in jobs))
    read = Counter((result.tracker, result.sequence) for result in published)
    twice = [name for name, count in run.items() if count > 1]
    twice += [name for (name, _), count in read.items() if count > 1 or name in run]
    if twice:
        raise SettingError(
            f'two trackers are called {twice[0]!r}: give --results another NAME, a --peer once'
        )


def published_results(
    sequences: Sequence[EvaluationSequence], name: str, folder: Path
) -> list[SequenceResult]:
    """Another tracker's result files, in the benchmarks' formats, as records named `name`.

    Rows for frames that a benchmark leaves out at the start may be there or not (VisEvent).
    """
    return [_published(sequence, name, folder) for sequence in sequences]


def _published(sequence: EvaluationSequence, name: str, folder: Path) -> SequenceResult:
    boxes, scores = read_benchmark_file(folder, sequence.name)
    truth = sequence.truth
    count = len(truth.stamps_ns)
    if sequence.skipped and len(boxes) == count + sequence.skipped:
        boxes = boxes[sequence.skipped :]
        scores = None if scores is None else scores[sequence.skipped :]
    if len(boxes) != count:
        raise DatasetError(f'{folder}: {sequence.name}: {len(boxes)} rows for {count} frames')
    boxes[0] = truth.boxes[0]
    observation = next(iter(sequence.frames))
    height, width = observation.lead.image.shape[:2]
    known = has_box(boxes)
    mode = Mode.FUSED if sequence.modality else Mode.RGB_ONLY
    return SequenceResult(
        sequence=sequence.name,
        benchmark=sequence.benchmark,
        tracker=name,
        condition='complete',
        stamps_ns=truth.stamps_ns,
        boxes=np.where(known[:, None], boxes, np.nan),
        scores=np.ones(count) if scores is None else np.nan_to_num(scores),
        states=np.where(known, int(TargetState.TRACKING), int(TargetState.LOST)),
        modes=np.full(count, int(mode)),
        held=np.zeros(count, dtype=np.bool_),
        fresh=known,
        latency=np.full(count, np.nan),
        present=np.ones((count, 2), dtype=np.bool_),
        truth=truth.boxes,
        judged=np.ones(count, dtype=np.bool_),
        size=(width, height),
        truth_x=sequence.truth_x,
        skipped=sequence.skipped,
    )
