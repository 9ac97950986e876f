"""The measurements as JSON and as tables."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Column, Table

from .networks import NetworkRow
from .parts import PartRow
from .timing import Times

if TYPE_CHECKING:
    from .wire import NodeRow

_PLAIN: dict[str, Any] = {
    'box': None,
    'padding': (0, 2, 0, 0),
    'title_justify': 'left',
    'header_style': 'dim',
}
_NODE_WORDS = {'latency': 'in all', 'inference': 'the tracker itself', 'around': 'around the tracker'}


@dataclass(frozen=True)
class Measurements:
    """All of one run. peak: FLOP/s of the best float32 matrix product. memory: peak, MiB.

    The parts are those of the first network, in float32.
    """

    facts: dict[str, str]
    device: str
    peak: float
    networks: list[NetworkRow]
    parts: list[PartRow]
    memory: float
    node: NodeRow | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values; every name says its unit."""
        node = self.node
        return {
            'machine': self.facts,
            'device': self.device,
            'peak_gflop_per_s': self.peak / 1e9,
            'peak_memory_mib': self.memory,
            'networks': [
                {
                    'model': row.model,
                    'weights': row.weights,
                    'mode': row.mode.name,
                    'precision': row.precision,
                    'targets': row.targets,
                    **_milliseconds(row.times),
                    'fps': row.fps,
                    'gflop': row.gflops,
                    'weights_mib': row.weights_mib,
                    'floor_ms': row.floor,
                    'times_floor': row.times_floor,
                    'best_times_floor': row.best_times_floor,
                    'times_fp32': row.speedup,
                }
                for row in self.networks
            ],
            'parts': [
                {'size': [row.width, row.height], 'part': row.part, **_milliseconds(row.times)}
                for row in self.parts
            ],
            'node': None
            if node is None
            else {
                'model': node.model,
                'device': node.device,
                'frames': node.frames,
                'answered': node.answered,
                **{
                    f'{span}_{name}_ms': value * 1e3
                    for span, times in node.spans.items()
                    for name, value in asdict(times).items()
                },
            },
        }


def show(console: Console, found: Measurements) -> None:
    """Everything on one screen."""
    for name, value in found.facts.items():
        console.print(f'[dim]{name}:[/dim] {value}', soft_wrap=True, highlight=False)
    console.print(
        f'matrix products: {found.peak / 1e9:.0f} GFLOP/s at best in float32; '
        f'memory: {found.memory:.0f} MiB at most'
    )
    console.print()
    console.print(_network_table(found))
    console.print()
    console.print(_part_table(found.parts))
    node = found.node
    if node is not None:
        console.print()
        console.print(_node_table(node))


def _network_table(found: Measurements) -> Table:
    title = (
        f'Network alone, {found.device}; ms, how many times the floor of float32, '
        f'and how many times as fast as float32'
    )
    table = Table(Column('network', no_wrap=True), title=title, **_PLAIN)
    for column in ('p50', 'p95', 'p99', 'best', 'fps', 'GFLOP', 'floor', 'x p50', 'x best', 'x fp32'):
        table.add_column(column, justify='right', no_wrap=True)
    for row in found.networks:
        table.add_row(
            f'{row.model} {row.mode.name} {row.precision}' + (f' x {row.targets}' if row.targets > 1 else ''),
            *_cells(row.times),
            *(_digits(value) for value in (row.fps, row.gflops, row.floor)),
            *(_digits(value) for value in (row.times_floor, row.best_times_floor)),
            '' if row.speedup is None else _digits(row.speedup),
        )
    return table


def _part_table(rows: list[PartRow]) -> Table:
    table = Table('image', 'part', title='Parts of one frame, both streams; ms', **_PLAIN)
    for column in ('p50', 'p95', 'p99', 'best'):
        table.add_column(column, justify='right')
    for row in rows:
        table.add_row(f'{row.width}x{row.height}', row.part, *_cells(row.times))
    return table


def _node_table(node: NodeRow) -> Table:
    title = (
        f'Node over DDS: {node.answered} of {node.frames} frames answered by {node.model} on {node.device}; '
        f'ms from frame sent to box received'
    )
    table = Table('time', title=title, **_PLAIN)
    for column in ('p50', 'p95', 'p99'):
        table.add_column(column, justify='right')
    for span, times in node.spans.items():
        table.add_row(_NODE_WORDS[span], *(f'{value * 1e3:.1f}' for value in asdict(times).values()))
    return table


def _cells(times: Times) -> list[str]:
    return [
        f'{value:.1f}' if value >= 10 else f'{value:.2f}'
        for value in (times.p50, times.p95, times.p99, times.best)
    ]


def _digits(value: float) -> str:
    """Three of them."""
    return f'{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}'


def _milliseconds(times: Times) -> dict[str, float]:
    """The times by names that say their unit, and the number of runs."""
    named = asdict(times)
    runs = named.pop('runs')
    return {**{f'{name}_ms': value for name, value in named.items()}, 'runs': runs}
