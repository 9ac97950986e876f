"""Faults on a terminal: a line per fault as it is over, and what is to be said at the end.

Each function returns whether a promise was broken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ..types import Modality
from .fault_verdict import Verdict
from .faults import UNDISTURBED, FaultBench
from .soak import soak

_KEPT = Text('kept', 'green')
_LEGEND = """answered: share of the frames of the sensor that lives. told: until the health said it, s.
fused: frames until both sensors were used again. false: answers that looked healthy and were not.
latency: frame sent to box received, median."""


def show_trials(console: Console, bench: FaultBench, names: Sequence[str]) -> bool:
    """Run the trials and fill a table."""
    columns = TextColumn('{task.description:<36}'), BarColumn(), TimeElapsedColumn()
    verdicts = []
    before = bench.process.resident_bytes
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task('', total=len(names))
        for name in names:
            bars.update(task, description=name)
            verdicts.append(bench.verdict(name))
            bars.advance(task)
    console.print(_table(verdicts))
    console.print(_LEGEND, style='dim')
    grown = bench.process.resident_bytes - before
    console.print(
        f'resident memory of the node: {before / 2**20:.0f} MB, {grown / 2**20:+.0f} MB in all trials'
    )
    broken = [verdict for verdict in verdicts if verdict.broken]
    if any(verdict.name == UNDISTURBED for verdict in broken):
        console.print(
            'Frames are missing without any fault: this machine does not hold the rate; give a lower --rate.',
            style='yellow',
        )
    console.print(f'{len(verdicts) - len(broken)} of {len(verdicts)} faults: every promise kept')
    return bool(broken)


def show_checkpoints(console: Console, problems: Mapping[str, str]) -> bool:
    """What the node made of bad checkpoints."""
    table = Table('checkpoint', 'promise', box=None)
    for name, problem in problems.items():
        table.add_row(name, Text(problem, 'red') if problem else _KEPT)
    console.print(table)
    return any(problems.values())


def show_soak(console: Console, bench: FaultBench, modality: Modality, minutes: float, seed: int) -> bool:
    """Random faults for a while."""
    columns = TextColumn('{task.description:<36}'), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as bars:
        task = bars.add_task('', total=minutes)
        report = soak(
            bench,
            modality,
            minutes,
            seed,
            lambda done, name: bars.update(task, completed=done, description=name),
        )
        bars.update(task, completed=minutes, description='done')
    memory = report.memory_mb
    console.print(
        f'{report.faults} faults in {report.minutes:.1f} min, {report.answers} answers; resident memory '
        f'{memory[0]:.0f} MB at first, {memory[-1]:.0f} MB at last, {report.growth:+.2%} since it had settled'
    )
    for problem in report.broken:
        console.print(problem, style='red')
    return bool(report.broken)


def _table(verdicts: Sequence[Verdict]) -> Table:
    table = Table('fault', box=None, pad_edge=False)
    for title in ('answered', 'told / within', 'fused', 'false', 'latency'):
        table.add_column(title, justify='right', no_wrap=True)
    table.add_column('promises')
    for each in verdicts:
        table.add_row(
            each.name,
            f'{each.answered:.1%}',
            '-' if each.limit_s is None else f'{_seconds(each.told_s)} / {_seconds(each.limit_s)} s',
            '-' if each.fused_after is None else str(each.fused_after),
            str(each.false_healthy),
            f'{each.latency_s * 1e3:.0f} ms',
            _promises(each),
        )
    return table


def _promises(verdict: Verdict) -> Text:
    if verdict.broken:
        return Text('; '.join(verdict.broken), 'red')
    return _KEPT if verdict.tries == 1 else Text(f'kept in try {verdict.tries}', 'yellow')


def _seconds(value: float | None) -> str:
    return '-' if value is None else f'{value:.2f}'
