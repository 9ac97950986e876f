"""The evaluation as files: report.html (one file, no network), metrics.json, runs.csv, summary.csv."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from . import plots
from .film import Still, film_strip
from .results import SequenceResult, write_benchmark_file
from .sequences import EvaluationSequence
from .summary import COMPLETE, RunScore, mean_accuracy, score_benchmarks, score_groups, score_run

NOTHING = '\N{EN DASH}'


@dataclass(frozen=True)
class Pass:
    """One sequence under one condition: strip and timeline."""

    condition: str
    strip: list[Still]
    timeline: str
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Section:
    """One sequence in the report."""

    name: str
    about: str
    notes: tuple[str, ...]
    passes: list[Pass]


@dataclass(frozen=True, eq=False)
class Report:
    """All that was found; `write` makes the files."""

    results: Sequence[SequenceResult]
    sequences: Mapping[str, EvaluationSequence]
    facts: Mapping[str, str]
    errors: Sequence[str] = ()

    def write(self, folder: Path) -> dict[str, Any]:
        """Write all files into `folder`; returns the content of metrics.json."""
        scores = [score_run(result) for result in self.results]
        groups = score_groups(scores)
        numbers: dict[str, Any] = {
            'summary': groups,
            'benchmarks': score_benchmarks(self.results),
            'runs': [score.row() for score in scores],
            'notes': {s.name: list(s.notes) for s in self.sequences.values() if s.notes},
            'errors': list(self.errors),
            'provenance': dict(self.facts),
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'metrics.json').write_text(json.dumps(numbers, indent=1, allow_nan=False))
        _write_csv(folder / 'runs.csv', numbers['runs'])
        _write_csv(folder / 'summary.csv', groups)
        for result in self.results:
            write_benchmark_file(
                result, folder / 'boxes' / result.condition.replace('/', '_') / result.tracker
            )
        (folder / 'report.html').write_text(self._html(scores, numbers))
        return numbers

    def _html(self, scores: list[RunScore], numbers: dict[str, Any]) -> str:
        trackers = list(dict.fromkeys(row['tracker'] for row in numbers['summary']))
        conditions = list(dict.fromkeys(row['condition'] for row in numbers['summary']))
        reference = COMPLETE if COMPLETE in conditions else conditions[0]
        curves = {t: mean_accuracy(scores, t, reference) for t in trackers}
        degradation = plots.degradation(numbers['summary'])
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).parent / 'templates'),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        environment.filters.update(number=_number, percent=_percent, inline=_inline)
        return environment.get_template('report.html.j2').render(
            summary=numbers['summary'],
            benchmarks=numbers['benchmarks'],
            reference=reference,
            overview=[row for row in numbers['summary'] if row['condition'] == reference],
            robustness=numbers['summary'] if len(conditions) > 1 else [],
            colors=plots.tracker_colors(trackers),
            truth_color=plots.TRUTH_COLOR,
            curves=_inline(plots.success_and_precision({t: c for t, c in curves.items() if c}), 'svg+xml'),
            latency=_inline(plots.latency_histogram(scores), 'svg+xml'),
            degradation=_inline(degradation, 'svg+xml') if degradation else '',
            sections=[self._section(name, scores) for name in self.sequences if self._has_results(name)],
            facts=self.facts,
            errors=self.errors,
        )

    def _has_results(self, name: str) -> bool:
        return any(result.sequence == name for result in self.results)

    def _section(self, name: str, scores: list[RunScore]) -> Section:
        sequence = self.sequences[name]
        own = [s for s in scores if s.result.sequence == name]
        passes = []
        for condition in dict.fromkeys(s.result.condition for s in own):
            here = sorted(
                (s for s in own if s.result.condition == condition),
                key=lambda s: s.result.tracker != 'sdstrack',
            )
            passes.append(
                Pass(
                    condition,
                    film_strip(sequence, [s.result for s in here]),
                    _inline(plots.timeline(here[0], here[1:]), 'svg+xml'),
                    [s.row() for s in here],
                )
            )
        kind = sequence.modality.value if sequence.modality else 'RGB alone'
        first = own[0].result
        about = f'{kind}, {len(first)} frames of {first.size[0]}x{first.size[1]}, {sequence.rate:.0f} Hz'
        return Section(name, about, sequence.notes, passes)


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)


def _inline(data: bytes, kind: str = 'jpeg') -> str:
    """Bytes of a picture as a data URL."""
    return f'data:image/{kind};base64,{base64.b64encode(data).decode()}'


def _number(value: float | None, digits: int = 3) -> str:
    return NOTHING if value is None else f'{value:.{digits}f}'


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f'{100 * value:.1f} %'
