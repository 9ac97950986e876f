"""The main job, end to end: a rendered recording through the real node, with X falling silent in the middle.

    outcome = run_demo(DemoSettings(frames=150), Path('demo'), progress)
    outcome.metrics['answer_rate']

Writes bag/ (rosbag2), tracking.webp, plot.png, metrics.json and node.log into the folder. The recording is
played in real time; on a machine that does not keep up, again at half the speed, and what was held is told.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import DatasetError
from ..evaluation.bag_topics import TopicChoice
from ..evaluation.bag_writer import BagTopics, BagWriter
from ..evaluation.summary import score_run
from ..settings import check, setting
from ..simulation import SimulatedSequence, render_sequence
from ..types import Box, Modality, Mode
from .demo_film import write_film
from .demo_metrics import demo_metrics, health_spans
from .demo_plot import write_plot
from .player import Outgoing
from .recorder import Recorder
from .recording import Recording
from .session import Replayed, replay_recording

SPEEDS = (1.0, 0.5, 0.25)  # of real time; the next one is for machines that cannot hold the one before
KEPT_UP = 0.99  # share of the frames answered

Progress = Callable[[str, int, int, str], None]
"""Told of every step: what is done, how much of how much (0: nobody knows), and a word on how it goes."""


@dataclass(frozen=True)
class DemoSettings:
    """What is rendered, and how fast it is played."""

    modality: Modality = Modality.DEPTH
    frames: int = setting(150, 'frames of each camera', minimum=30, maximum=3000)
    rate: float = setting(15.0, 'frames per second', minimum=1.0, maximum=120.0)
    width: int = setting(640, 'of the images, px', minimum=64, maximum=4096)
    height: int = setting(480, 'of the images, px', minimum=64, maximum=4096)
    seed: int = setting(1, 'of the scene', minimum=0)
    parameters: dict[str, object] = field(default_factory=dict)  # of the node, beside those of config/

    def __post_init__(self) -> None:
        check(self)

    @property
    def silence(self) -> tuple[float, float]:
        """From when to when X says nothing, s after the first frame."""
        length = self.frames / self.rate
        return 0.4 * length, 0.65 * length


@dataclass(frozen=True, eq=False)
class DemoOutcome:
    """What was measured (ready for JSON), what came over the wire, and the files that tell of it."""

    metrics: dict[str, Any]
    replayed: Replayed
    files: tuple[Path, ...]


def run_demo(settings: DemoSettings, folder: Path, progress: Progress) -> DemoOutcome:
    """See the module. Raises NodeError where the node cannot start or dies, DatasetError where the bag would
    take the place of something else."""
    folder.mkdir(parents=True, exist_ok=True)
    bag = folder / 'bag'
    _clear(bag)
    sequence = _render(settings, progress)
    _write_bag(bag, sequence)
    topics = BagTopics.for_modality(settings.modality)
    recording = Recording(bag, settings.modality, TopicChoice(topics.rgb, topics.x, topics.truth))
    first_ns = int(sequence.stamps_ns[0])
    silence = settings.silence

    def audible(message: Outgoing) -> bool:
        after = (message.stamp_ns - first_ns) / 1e9
        return message.topic != recording.x_topic or not silence[0] <= after < silence[1]

    def on_message(message: Outgoing, recorder: Recorder) -> None:
        if message.topic == recording.rgb_topic:
            told = Mode(recorder.boxes[-1].message.mode).name if recorder.boxes else ''
            progress('playing over DDS', _index(sequence, message.stamp_ns) + 1, len(sequence), told)

    for speed in SPEEDS:
        progress('starting the node', 0, 0, '' if speed == 1 else f'again, at {speed:g} of real time')
        replayed = replay_recording(
            recording,
            folder / 'node.log',
            parameters=settings.parameters,
            speed=speed,
            condition=f'outage:x@{silence[0]:g}-{silence[1]:g}',
            keep=audible,
            on_message=on_message,
        )
        if replayed.answer_rate >= KEPT_UP:
            break
    score = score_run(replayed.result)
    metrics = {'speed': speed, **demo_metrics(replayed, score, sequence, silence)}
    progress('drawing', 0, 0, '')
    files = folder / 'tracking.webp', folder / 'plot.png', folder / 'metrics.json'
    write_film(files[0], sequence, replayed, score, silence)
    write_plot(files[1], replayed, score, health_spans(replayed, first_ns), silence, settings.modality.value)
    files[2].write_text(json.dumps(metrics, indent=1, allow_nan=False))
    progress('drawing', 1, 1, '')
    return DemoOutcome(metrics, replayed, (*files, bag))


def _render(settings: DemoSettings, progress: Progress) -> SimulatedSequence:
    progress('rendering', 0, 0, f'{settings.frames} frames of each camera')
    sequence = render_sequence(
        settings.modality, settings.frames, settings.width, settings.height, settings.seed, settings.rate
    )
    progress('rendering', 1, 1, '')
    return sequence


def _clear(bag: Path) -> None:
    """Make room, but only where an earlier demo took it."""
    if not bag.exists():
        return
    # A recorder numbers its files, so `bag.mcap` is none of its own.
    if not bag.is_dir() or {each.name for each in bag.iterdir()} - {'metadata.yaml', 'bag.mcap'}:
        raise DatasetError(f'{bag} is there, and is not the bag of an earlier demo; choose another --out')
    shutil.rmtree(bag)


def _write_bag(bag: Path, sequence: SimulatedSequence) -> None:
    height, width = sequence.rgb[0].shape[:2]
    with BagWriter(bag, sequence.modality) as writer:
        for i in range(len(sequence)):
            stamp = int(sequence.stamps_ns[i])
            writer.write_camera_info(stamp, width, height, sequence.camera)
            writer.write_rgb(stamp, sequence.rgb[i])
            writer.write_x(stamp, sequence.x[i])
            x, y, z = sequence.positions[i].tolist()
            writer.write_truth(stamp, Box.of(sequence.boxes[i]) if sequence.visible[i] else None, (x, y, z))


def _index(sequence: SimulatedSequence, stamp_ns: int) -> int:
    return int(sequence.stamps_ns.searchsorted(stamp_ns))
