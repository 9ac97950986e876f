"""`sdstrack demo`, `sdstrack replay` and `sdstrack faults`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..errors import SettingError
from ..evaluation.bag_topics import TopicChoice
from ..evaluation.contestants import TrackerSpec
from ..evaluation.missing import Condition
from ..evaluation.provenance import provenance
from ..evaluation.report import Report
from ..evaluation.runner import run_sequence
from ..model.devices import choose_device
from ..types import Modality
from .checkpoint_faults import CHECKPOINTS, try_checkpoints
from .demo import KEPT_UP, DemoSettings, run_demo
from .demo_screen import print_outcome, shown_progress
from .fault_screen import show_checkpoints, show_soak, show_trials
from .faults import FaultBench, fault_names
from .player import Outgoing
from .recorder import Recorder
from .recording import Recording
from .session import agreement, replay_recording


def demo(
    out: Annotated[
        Path,
        typer.Option(file_okay=False, help='folder for the bag, the animation, the plot and metrics.json'),
    ] = Path('demo'),
    modality: Annotated[Modality, typer.Option(help='what the second sensor, X, measures')] = Modality.DEPTH,
    frames: Annotated[int, typer.Option(help='length of the sequence')] = DemoSettings.frames,
    rate: Annotated[float, typer.Option(help='frames per second')] = DemoSettings.rate,
    seed: Annotated[int, typer.Option(help='another scene')] = DemoSettings.seed,
    checkpoint: Annotated[Path | None, typer.Option(help='weights; the ones that ship by default')] = None,
    device: Annotated[str, typer.Option(help='auto, cpu, cuda or cuda:N')] = 'auto',
) -> None:
    """Render a recording, play it through the real node over DDS while X fails, and show what came of it."""
    console = _console()
    parameters = _parameters(checkpoint, device)
    settings = DemoSettings(modality, frames, rate, seed=seed, parameters=parameters)
    with shown_progress(console) as progress:
        outcome = run_demo(settings, out, progress)
    print_outcome(console, outcome)
    if outcome.metrics['answer_rate'] < KEPT_UP or outcome.metrics['exit_code'] != 0:
        raise typer.Exit(1)


def replay(
    bag: Annotated[Path, typer.Argument(help='rosbag2: its folder or its file', exists=True)],
    out: Annotated[
        Path,
        typer.Option(file_okay=False, help='folder for report.html, metrics.json and boxes; replaces them'),
    ] = Path('out/replay'),
    modality: Annotated[Modality, typer.Option(help='what the second stream measures')] = Modality.DEPTH,
    speed: Annotated[float, typer.Option(min=0.01, max=100, help='1: as recorded, 0.5: half as fast')] = 1.0,
    checkpoint: Annotated[Path | None, typer.Option(help='weights; the ones that ship by default')] = None,
    device: Annotated[str, typer.Option(help='auto, cpu, cuda or cuda:N')] = 'auto',
    compare: Annotated[bool, typer.Option(help='evaluate it without DDS too, and compare the boxes')] = False,
    rgb_topic: Annotated[str, typer.Option(help='found by type by default')] = '',
    x_topic: Annotated[str, typer.Option(help='found by type by default')] = '',
    truth_topic: Annotated[str, typer.Option(help='found by name by default')] = '',
    truth: Annotated[Path | None, typer.Option(help='file with the true boxes, or the first one')] = None,
) -> None:
    """Play a bag through the real node over DDS, and report on its answers as `sdstrack evaluate` does."""
    console = _console()
    out.mkdir(parents=True, exist_ok=True)
    wanted = TopicChoice(rgb_topic, x_topic, truth_topic)
    recording = Recording(bag, modality, wanted, truth)
    columns = TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as bars:
        task = bars.add_task('frames sent', total=len(recording.sequence.stamps_ns))

        def on_message(message: Outgoing, recorder: Recorder) -> None:
            if message.topic == recording.rgb_topic:
                bars.advance(task)

        replayed = replay_recording(
            recording,
            out / 'node.log',
            parameters=_parameters(checkpoint, device),
            speed=speed,
            on_message=on_message,
        )
    results = [replayed.result]
    # as the node runs it: without DDS the same arithmetic on the same device
    spec = TrackerSpec(checkpoint=checkpoint, device=str(choose_device(device)), precision='auto')
    if compare:
        console.print('evaluating without DDS ...')
        condition = Condition('complete', seed=0)
        results.append(run_sequence(recording.sequence, spec.build(modality), spec.label, condition))
    facts = provenance([spec], 1) | {'node': f'{replayed.model} on {replayed.device}'}
    numbers = Report(results, {recording.sequence.name: recording.sequence}, facts).write(out)
    for note in recording.sequence.notes:
        console.print(note, soft_wrap=True)
    console.print(
        f'{replayed.answered} of {replayed.frames} frames answered ({replayed.answer_rate:.1%}) by '
        f'{replayed.model} on {replayed.device}'
    )
    row = numbers['runs'][0]
    if row['latency_p50_ms'] is not None:
        console.print(f'latency p50 {row["latency_p50_ms"]:.0f} ms, p95 {row["latency_p95_ms"]:.0f} ms')
    if row['mean_iou'] is not None:
        console.print(f'mean IoU {row["mean_iou"]:.3f} over {row["judged_frames"]} frames with a truth')
    if compare:
        both = agreement(*results)
        console.print(
            f'without DDS: the boxes of {both.frames} of {both.of} frames agree, to {both.apart:.2g} px'
        )
    console.print(f'Report: [bold]{out / "report.html"}[/bold]', soft_wrap=True)


def faults(
    only: Annotated[str, typer.Option(help='those whose name contains this')] = '',
    modality: Annotated[Modality, typer.Option(help='what the second sensor, X, measures')] = Modality.DEPTH,
    rate: Annotated[float, typer.Option(min=12, max=60, help='of both cameras, Hz')] = 15.0,
    soak: Annotated[float, typer.Option(min=0, help='minutes of random faults instead, and memory')] = 0.0,
    seed: Annotated[int, typer.Option(help='of the random faults')] = 0,
    out: Annotated[Path, typer.Option(file_okay=False, help='folder for the log of the node')] = Path(
        'out/faults'
    ),
    checkpoint: Annotated[Path | None, typer.Option(help='weights; the ones that ship by default')] = None,
    device: Annotated[str, typer.Option(help='auto, cpu, cuda or cuda:N')] = 'auto',
) -> None:
    """Let sensors fail in every known way at the real node over DDS; exit status 1 if a promise is broken."""
    console = _console()
    parameters = _parameters(checkpoint, device)
    known = fault_names(modality)
    if not any(only in name for name in (*known, *CHECKPOINTS)):
        raise SettingError(
            f'--only {only!r}: no fault is called so; there are {", ".join((*known, *CHECKPOINTS))}'
        )
    names = [name for name in known if only in name]
    checkpoints = not soak and any(only in name for name in CHECKPOINTS)
    broken = False
    if soak or names:
        with FaultBench(modality, rate, out / 'node.log', parameters) as bench:
            broken = (
                show_soak(console, bench, modality, soak, seed)
                if soak
                else show_trials(console, bench, names)
            )
            broken |= bench.process.stop() != 0
    if checkpoints:
        broken |= show_checkpoints(
            console, try_checkpoints(out / 'checkpoints', {'modality': modality.value})
        )
    raise typer.Exit(int(broken))


def _console() -> Console:
    """Where a verb writes to; from now on SIGTERM ends it in order, so that its node ends with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    return Console()


def _parameters(checkpoint: Path | None, device: str) -> dict[str, object]:
    """Those of the node that the command line speaks of."""
    given: dict[str, object] = {'device': device}
    if checkpoint is not None:
        given['checkpoint'] = str(checkpoint.resolve())
    return given
