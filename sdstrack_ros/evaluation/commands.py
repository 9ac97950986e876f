"""`sdstrack evaluate` and `sdstrack annotate`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ..errors import SettingError
from ..model.config import PRECISIONS
from ..model.devices import choose_device
from ..model.threads import available_cores
from ..tracking.streams import MISSING
from ..types import Box
from .annotation import first_frame, parse_box, pick_box
from .bag_topics import TopicChoice
from .contestants import TrackerSpec, parse_peer
from .evaluate import SourceOptions, open_sources, parse_conditions, plan, published_results
from .evaluate import evaluate as run_evaluation
from .fleet import run_fleet
from .truth import truth_path, write_truth

INTERRUPTED = 130


class XStream(str, Enum):
    """What the second stream of a bag is."""

    DEPTH = 'depth'
    THERMAL = 'thermal'
    EVENT = 'event'
    NONE = 'none'


def evaluate(
    sources: Annotated[list[Path], typer.Argument(help='bags, sequence folders or data sets')],
    out: Annotated[
        Path,
        typer.Option(
            file_okay=False,
            help='folder for report.html, metrics.json, tables and boxes; replaces them, but not records/',
        ),
    ] = Path('out'),
    modality: Annotated[XStream | None, typer.Option(help='X of a bag; folders say it themselves')] = None,
    checkpoint: Annotated[Path | None, typer.Option(help='weights; the ones that ship by default')] = None,
    sdstrack: Annotated[bool, typer.Option(help='run SDSTrack, or only the others')] = True,
    peer: Annotated[
        list[str] | None, typer.Option(help='csrt, kcf, nano=BACKBONE.onnx,NECKHEAD.onnx; with @x on X')
    ] = None,
    results: Annotated[
        list[str] | None, typer.Option(help="NAME=FOLDER: another tracker's official result files")
    ] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option(
            help='rgb:0.5, x:0.5, random:0.3, long_term:0.6, swap:0.9, swap+random:0.3, outage:rgb@2-3,x@5-, '
            'file:masks.json; patterns and sweep:rgb, sweep:x stand for many'
        ),
    ] = None,
    stand_in: Annotated[str, typer.Option(help=f'for a missing stream: {", ".join(MISSING)}')] = 'auto',
    seed: Annotated[int, typer.Option(help='of the frames that go missing')] = 0,
    realtime: Annotated[
        float | None, typer.Option(min=0.1, help='camera rate, Hz: skip frames that come while busy')
    ] = None,
    benchmark: Annotated[str | None, typer.Option(help='whose rules, where folders look alike')] = None,
    rgb_topic: Annotated[str, typer.Option(help='of a bag; found by type by default')] = '',
    x_topic: Annotated[str, typer.Option(help='of a bag; found by type by default')] = '',
    truth_topic: Annotated[str, typer.Option(help='of a bag; found by name by default')] = '',
    truth: Annotated[Path | None, typer.Option(help='file with the true boxes of a bag')] = None,
    jobs: Annotated[int, typer.Option(min=0, help='sequences at a time; 0: one per core')] = 0,
    fleet: Annotated[
        str | None, typer.Option(help='address of a Ray cluster to run on: auto, ray://…')
    ] = None,
    device: Annotated[str, typer.Option(help='auto, cpu, cuda or cuda:N')] = 'cpu',
    precision: Annotated[str, typer.Option(help='fp32, bf16, int8 or auto')] = 'fp32',
    resume: Annotated[bool, typer.Option(help='keep finished runs that were made in the same way')] = True,
) -> None:
    """Score trackers on bags and data sets, without DDS. Interrupted, it goes on where it was."""
    console = Console()
    options = SourceOptions(
        modality.value if modality else None, benchmark, TopicChoice(rgb_topic, x_topic, truth_topic), truth
    )
    if precision not in ('auto', *PRECISIONS):
        raise SettingError(f'precision: {precision!r} is none; use auto, {", ".join(PRECISIONS)}')
    if stand_in not in MISSING:
        raise SettingError(f'--stand-in {stand_in!r} is none; use {", ".join(MISSING)}')
    device = str(choose_device(device))
    spec = TrackerSpec(checkpoint=checkpoint, device=device, precision=precision, missing=stand_in)
    own = [spec] if sdstrack else []
    trackers = own + [parse_peer(text) for text in peer or []]
    conditions = parse_conditions(missing or [], seed)
    out.mkdir(parents=True, exist_ok=True)
    sequences = open_sources(sources, options)
    published = [found for text in results or [] for found in published_results(sequences, *_named(text))]
    todo = plan(sequences, trackers, conditions, out, realtime)
    workers = _workers(jobs, len(todo), device, realtime)
    runner = functools.partial(run_fleet, fleet) if fleet is not None else None
    with _progress(console) as bar:
        frames = sum(len(job.sequence.stamps_ns) for job in todo if not (resume and job.finished()))
        task = bar.add_task('evaluating', total=max(frames, 1))
        try:
            numbers = run_evaluation(
                todo,
                sequences,
                out,
                workers,
                published=published,
                resume=resume,
                runner=runner,
                on_progress=lambda done: bar.update(task, completed=done),
            )
        except KeyboardInterrupt:
            bar.stop()
            console.print('Interrupted. What is finished is kept: the same command goes on from there.')
            raise typer.Exit(INTERRUPTED) from None
    _print_summary(console, numbers)
    console.print(f'Report: [bold]{out / "report.html"}[/bold]', soft_wrap=True)
    if numbers['errors']:
        raise typer.Exit(1)


def annotate(
    bag: Annotated[Path, typer.Argument(help='the bag: its folder or its file')],
    box: Annotated[str | None, typer.Option(help='x,y,w,h in pixels; asked for by default')] = None,
    rgb_topic: Annotated[str, typer.Option(help='found by type by default')] = '',
    force: Annotated[bool, typer.Option(help='replace the truth that is there')] = False,
) -> None:
    """Give the first box of a bag, in a window or typed; it is written beside the bag."""
    console = Console()
    target = truth_path(bag)
    if target.exists() and not force:
        raise SettingError(f'{target} is there already: use it as it is, or replace it with --force')
    frame = first_frame(bag, rgb_topic)
    height, width = frame.image.shape[:2]
    chosen = parse_box(box, width, height) if box is not None else pick_box(frame.image)
    if chosen is None:
        chosen = _ask_for_box(console, bag, frame.image)
    write_truth(target, frame.stamp_ns, chosen)
    console.print(f'Wrote {target}: {chosen.x:g},{chosen.y:g},{chosen.w:g},{chosen.h:g}', soft_wrap=True)


def _ask_for_box(console: Console, bag: Path, image: Any) -> Box:
    height, width = image.shape[:2]
    preview = truth_path(bag).with_suffix('.jpg')
    cv2.imwrite(str(preview), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    console.print(f'No display. The first frame, {width}x{height}, is in {preview}.', soft_wrap=True)
    return parse_box(typer.prompt('Box as x,y,w,h'), width, height)


def _named(text: str) -> tuple[str, Path]:
    name, separator, folder = text.partition('=')
    if not separator or not name or not Path(folder).is_dir():
        raise SettingError(f'--results {text!r} is not NAME=FOLDER with a folder that exists')
    return name, Path(folder)


def _workers(jobs: int, runs: int, device: str, realtime: float | None) -> int:
    """One at a time where they would disturb each other: racing against time, or sharing one GPU."""
    if jobs:
        return jobs
    return 1 if realtime is not None or device != 'cpu' else min(available_cores(), max(runs, 1))


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn('frames, left'),
        TimeRemainingColumn(),
        console=console,
    )


def _print_summary(console: Console, numbers: dict[str, Any]) -> None:
    table = Table('tracker', 'condition', title='Means over sequences')
    columns: list[tuple[str, str, Callable[[float], str]]] = [
        ('mean_iou', 'IoU', '{:.3f}'.format),
        ('success_auc', 'AUC', '{:.3f}'.format),
        ('precision_20', 'P@20', '{:.3f}'.format),
        ('retention_success', 'retained', '{:.0%}'.format),
        ('answer_rate', 'answered', '{:.1%}'.format),
        ('latency_p50_ms', 'ms p50', '{:.1f}'.format),
        ('latency_p95_ms', 'p95', '{:.1f}'.format),
    ]
    for _, title, _ in columns:
        table.add_column(title, justify='right')
    for row in numbers['summary']:
        cells = ['-' if row[key] is None else text(row[key]) for key, _, text in columns]
        table.add_row(row['tracker'], row['condition'], *cells)
    console.print(table)
    for row in numbers['benchmarks']:
        shown = ', '.join(f'{key} {value:.3f}' for key, value in row.items() if isinstance(value, float))
        console.print(f'{row["benchmark"]}: {row["tracker"]}, {row["condition"]}: {shown}')
    for name, notes in numbers['notes'].items():
        console.print(f'{name}: {"; ".join(notes)}', soft_wrap=True)
    for error in numbers['errors']:
        console.print(f'[red]Not evaluated:[/red] {error}', soft_wrap=True)
