"""The demo on a few small frames: all that `make demo` does; and its bag once more, by `sdstrack replay`."""

from __future__ import annotations

import io
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from sdstrack_ros.cli import app
from sdstrack_ros.errors import DatasetError
from sdstrack_ros.evaluation.contestants import TrackerSpec
from sdstrack_ros.evaluation.missing import Condition
from sdstrack_ros.evaluation.runner import run_sequence
from sdstrack_ros.replay.demo import DemoOutcome, DemoSettings, run_demo
from sdstrack_ros.replay.demo_screen import print_outcome
from sdstrack_ros.replay.recording import Recording
from sdstrack_ros.replay.session import agreement
from sdstrack_ros.types import Modality, Mode

RATE = 12.0
FRAMES = 36


@pytest.fixture(scope='module')
def demo(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoOutcome, Path, list[str]]:
    folder = tmp_path_factory.mktemp('demo')
    steps: list[str] = []
    settings = DemoSettings(
        frames=FRAMES,
        rate=RATE,
        width=160,
        height=120,
        parameters={'checkpoint': str(checkpoint), 'device': 'cpu'},
    )
    outcome = run_demo(settings, folder, lambda step, done, total, word: steps.append(step))
    return outcome, folder, steps


def test_every_frame_is_answered_from_what_is_there(demo) -> None:
    metrics = demo[0].metrics
    assert (metrics['frames'], metrics['answered'], metrics['exit_code']) == (FRAMES, FRAMES, 0)
    result = demo[0].replayed.result
    start, end = metrics['silence_s']
    seconds = (result.stamps_ns - result.stamps_ns[0]) / 1e9
    silent = (seconds >= start) & (seconds < end)
    assert set(result.modes[silent]) == {int(Mode.RGB_ONLY)}
    assert set(result.modes[seconds < start]) == {int(Mode.FUSED)}
    assert metrics['frames_to_full_fusion'] <= 3
    assert metrics['latency_p50_ms'] > 0


def test_the_health_tells_of_the_silence_and_of_its_end(demo) -> None:
    metrics = demo[0].metrics
    assert 0.3 < metrics['told_after_s'] < 1.0
    states = [(span['mode'], span['x']) for span in metrics['health']]
    assert ('FUSED', 'OK') in states[:2]
    assert ('RGB_ONLY', 'STALE') in states
    assert states[-1] == ('FUSED', 'OK')
    edges = [(span['from_s'], span['to_s']) for span in metrics['health']]
    assert edges[0][0] == 0
    assert all(end == start for (_, end), (start, _) in pairwise(edges))


def test_the_node_over_dds_and_the_evaluation_without_it_agree(demo, checkpoint: Path) -> None:
    outcome, folder, _ = demo
    sequence = Recording(folder / 'bag', Modality.DEPTH).sequence
    tracker = TrackerSpec(checkpoint=checkpoint).build(Modality.DEPTH)
    condition = Condition(outcome.replayed.result.condition, seed=0)
    found = agreement(outcome.replayed.result, run_sequence(sequence, tracker, 'sdstrack', condition))
    assert (found.frames, found.of) == (FRAMES, FRAMES)
    assert found.apart < 0.01


def test_it_leaves_an_animation_a_plot_and_numbers(demo) -> None:
    outcome, folder, steps = demo
    with Image.open(folder / 'tracking.webp') as film:
        assert film.n_frames >= FRAMES / 3
    with Image.open(folder / 'plot.png') as plot:
        assert plot.width > 800
        assert np.asarray(plot.convert('L')).std() > 10
    assert json.loads((folder / 'metrics.json').read_text()) == outcome.metrics
    assert list(dict.fromkeys(steps)) == ['rendering', 'starting the node', 'playing over DDS', 'drawing']


def test_one_screen_says_it_all(demo) -> None:
    console = Console(width=110, record=True, file=io.StringIO())
    print_outcome(console, demo[0])
    text = console.export_text()
    assert f'{FRAMES} of {FRAMES} frames (100.0%)' in text
    assert 'RGB only' in text
    assert 'tracking.webp' in text
    assert len(text.splitlines()) < 40


def test_replay_of_the_bag_reports_like_the_evaluation(demo, checkpoint: Path, tmp_path: Path) -> None:
    bag = demo[1] / 'bag'
    arguments = ['replay', str(bag), '--checkpoint', str(checkpoint), '--out', str(tmp_path), '--compare']
    run = CliRunner().invoke(app, [*arguments, '--speed', '0.5'])
    assert run.exit_code == 0, run.output
    assert f'{FRAMES} of {FRAMES} frames answered' in run.output
    numbers = json.loads((tmp_path / 'metrics.json').read_text())
    over_dds, without = numbers['runs']
    assert over_dds['tracker'] == 'sdstrack over DDS'
    assert over_dds['mean_iou'] == pytest.approx(without['mean_iou'], abs=1e-4)
    assert (tmp_path / 'report.html').stat().st_size > 10_000


def test_the_bag_takes_the_place_of_none_but_its_own(demo, tmp_path: Path) -> None:
    _, folder, _ = demo
    assert {each.name for each in (folder / 'bag').iterdir()} == {'metadata.yaml', 'bag.mcap'}
    recording = tmp_path / 'bag' / 'bag_0.mcap'
    recording.parent.mkdir()
    recording.write_text('precious')
    with pytest.raises(DatasetError, match='another --out'):
        run_demo(DemoSettings(frames=FRAMES), tmp_path, lambda *_: None)
    assert recording.read_text() == 'precious'
