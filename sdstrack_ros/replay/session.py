"""One recording through the real node over DDS: start it, set the target, play, collect the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DatasetError, NodeError
from ..evaluation.overlap import FloatArray, has_box
from ..evaluation.results import SequenceResult
from ..share import shared_file
from ..types import Box
from .player import Outgoing, Player
from .process import NodeProcess, own_domain
from .recorder import HealthHeard, Recorder, answered_frames, inference_times_of, positions_of, result_of
from .recording import Recording
from .station import Station

TRACKER = 'sdstrack over DDS'


@dataclass(frozen=True, eq=False)
class Replayed:
    """What came of it.

    frames, answered: of RGB, from the one that set the target on. positions (T,3) m and inference (T,) s,
    which is what the tracker itself took, go with the rows of `result`. healths: in order. model, device:
    what the node said it runs.
    """

    result: SequenceResult
    positions: FloatArray
    inference: FloatArray
    healths: list[HealthHeard]
    frames: int
    answered: int
    model: str
    device: str
    exit_code: int

    @property
    def answer_rate(self) -> float:
        return self.answered / self.frames if self.frames else float('nan')


def replay_recording(
    recording: Recording,
    log: Path,
    *,
    parameters: Mapping[str, object] | None = None,
    speed: float = 1.0,
    condition: str = 'complete',
    keep: Callable[[Outgoing], bool] = lambda message: True,
    on_message: Callable[[Outgoing, Recorder], None] = lambda message, recorder: None,
) -> Replayed:
    """Play the messages that `keep` wants; the target is set on the first frame with a true box.

    on_message: called when a message is due. Raises NodeError where the node cannot start or
    dies, DatasetError where no RGB frame has a true box.
    """
    start_ns, box = _first_box(recording)
    given = {**recording.parameters, 'use_sim_time': True, **(parameters or {})}
    settings = shared_file(f'config/{recording.modality.value}.yaml')
    domain = own_domain()
    with NodeProcess(given, domain=domain, log=log, params_file=settings) as process:
        with Station(domain, process) as station:
            recorder = Recorder(station)
            player = Player(station, recording.topics)
            station.wait_active()
            player.wait_matched()
            assert station.health is not None
            model, device = station.health.model, station.health.device
            station.set_target(box, start_ns)

            def before(message: Outgoing) -> None:
                process.check()
                on_message(message, recorder)

            player.play(filter(keep, recording.outgoing()), speed, before)
            process.check()
            answers = recorder.answers()
        exit_code = process.stop()
    sent = {stamp: at for (topic, stamp), at in player.sent.items() if topic == recording.x_topic}
    rgb_sent = {stamp: at for (topic, stamp), at in player.sent.items() if topic == recording.rgb_topic}
    after = [stamp for stamp in rgb_sent if stamp >= start_ns]
    result = result_of(
        recording.sequence,
        start_ns,
        answers,
        {**sent, **rgb_sent},
        tracker=TRACKER,
        condition=condition,
        size=_image_size(recording),
    )
    if not after:
        raise NodeError(f'{recording.path}: nothing was sent')
    return Replayed(
        result=result,
        positions=positions_of(result.stamps_ns, answers),
        inference=inference_times_of(result.stamps_ns, answers),
        healths=recorder.healths,
        frames=len(after),
        answered=len(answered_frames(after, answers, recording.sequence.tolerance_ns)),
        model=model,
        device=device,
        exit_code=exit_code,
    )


@dataclass(frozen=True)
class Agreement:
    """Of two runs: of so many frames that both answered, so many have a box in both or in neither.

    apart: largest distance of a coordinate of the boxes, px.
    """

    frames: int
    of: int
    apart: float


def agreement(first: SequenceResult, second: SequenceResult) -> Agreement:
    """How far the boxes of two runs lie apart, frame by frame."""
    _, rows_a, rows_b = np.intersect1d(first.stamps_ns, second.stamps_ns, return_indices=True)
    a, b = first.boxes[rows_a], second.boxes[rows_b]
    answered = np.isfinite(first.latency[rows_a]) & np.isfinite(second.latency[rows_b])
    a, b = a[answered], b[answered]
    boxed = has_box(a) & has_box(b)
    apart = float(np.abs(a[boxed] - b[boxed]).max()) if boxed.any() else float('nan')
    return Agreement(int((has_box(a) == has_box(b)).sum()), len(a), apart)


def _first_box(recording: Recording) -> tuple[int, Box]:
    sequence = recording.sequence
    for stamp in sequence.stamps_ns:
        row = sequence.truth.row_at(int(stamp), sequence.tolerance_ns)
        if row is not None and has_box(sequence.truth.boxes[row : row + 1])[0]:
            return int(stamp), Box.of(sequence.truth.boxes[row])
    raise DatasetError(f'{recording.path}: no RGB frame has a true box to start from')


def _image_size(recording: Recording) -> tuple[int, int]:
    height, width = next(iter(recording.sequence.frames)).lead.image.shape[:2]
    return width, height
