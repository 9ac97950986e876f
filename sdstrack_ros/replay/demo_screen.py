"""The demo on a terminal: its progress, and one screen that sums it up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from .demo import KEPT_UP, DemoOutcome
from .demo import Progress as Told

_WIDTH = 60  # characters of the timeline
_LOOKS = {'FUSED': 'green', 'RGB_ONLY': 'yellow', 'X_ONLY': 'blue', 'BLIND': 'red'}
_WORDS = {'FUSED': 'RGB + X', 'RGB_ONLY': 'RGB only', 'X_ONLY': 'X only', 'BLIND': 'blind'}


@contextmanager
def shown_progress(console: Console) -> Iterator[Told]:
    """A bar per step, and how it goes beside it."""
    columns = (
        TextColumn('{task.description:<18}'),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn('{task.fields[word]}'),
    )
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, Any] = {}

        def tell(step: str, done: int, total: int, word: str) -> None:
            if step not in tasks:
                for earlier in tasks.values():
                    bars.update(earlier, total=1, completed=1)
                tasks[step] = bars.add_task(step, word='')
            bars.update(tasks[step], completed=done, total=total or None, word=_WORDS.get(word, word))

        yield tell


def print_outcome(console: Console, outcome: DemoOutcome) -> None:
    """One screen: what was answered, how well, how fast, and what the health said."""
    m = outcome.metrics
    table = Table.grid(padding=(0, 2))
    table.add_column(style='dim')
    table.add_column()
    answered = Text(f'{m["answered"]} of {m["frames"]} frames ({m["answer_rate"]:.1%})')
    answered.stylize('green' if m['answer_rate'] >= KEPT_UP else 'red')
    answered.append(f' at {m["rate"] * m["speed"]:g} Hz', 'default')
    table.add_row('answered', answered)
    table.add_row(
        'latency',
        f'p50 {_ms(m["latency_p50_ms"])}, p95 {_ms(m["latency_p95_ms"])}, frame sent to box received',
    )
    table.add_row(
        'mean IoU',
        f'{_number(m["mean_iou"])}   while {m["modality"]} is silent '
        f'{_number(m["mean_iou_while_x_is_silent"])}, '
        f'otherwise {_number(m["mean_iou_otherwise"])}',
    )
    if m['position_error_median'] is not None:
        table.add_row('3-D position', f'median error {m["position_error_median"]:.1%} of the range')
    table.add_row('wrong but sure', f'{m["false_confident_rate"]:.1%} of the frames')
    start, end = m['silence_s']
    back = m['frames_to_full_fusion']
    told = f'told after {m["told_after_s"]:.2f} s' if m['told_after_s'] is not None else 'never told'
    fused = f'fused again with frame {back} after its return' if back is not None else 'never fused again'
    table.add_row(f'{m["modality"]} silent', f'from {start:.1f} to {end:.1f} s; {told}; {fused}')
    table.add_row('', '')
    table.add_row('answers from', _band(m['health']))
    for span in m['health']:
        when = f'{span["from_s"]:5.1f} - {span["to_s"]:.1f} s'
        said = Text(f'{span["level"]:<5} {span["message"]}', _LOOKS[span['mode']])
        said.truncate(console.width - 25, overflow='ellipsis')
        table.add_row(when, said)
    title = f'sdstrack demo: {m["model"]} on {m["device"]}'
    console.print(Panel(table, title=title, title_align='left', border_style='dim', expand=False))
    if m['answer_rate'] < KEPT_UP:
        console.print('This machine does not keep up, even played slowly: is it busy?', style='red')
    elif m['speed'] < 1:
        console.print(
            f'At {m["rate"]:g} Hz this machine lost frames: played at {m["speed"]:g} of real time.',
            style='yellow',
        )
    for path in outcome.files:
        console.print(f'  {path}', soft_wrap=True, highlight=False)


def _band(health: list[dict[str, Any]]) -> Text:
    """The modes over time, as a strip of colour."""
    band = Text()
    last = health[-1]['to_s'] if health else 1.0
    for span in health:
        width = round(_WIDTH * span['to_s'] / last) - len(band)
        band.append('\N{FULL BLOCK}' * max(0, width), _LOOKS[span['mode']])
    for mode in dict.fromkeys(span['mode'] for span in health):
        band.append(f'  {_WORDS[mode]}', _LOOKS[mode])
    return band


def _ms(value: float | None) -> str:
    return '-' if value is None else f'{value:.0f} ms'


def _number(value: float | None) -> str:
    return '-' if value is None else f'{value:.2f}'
