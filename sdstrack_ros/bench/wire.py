"""End to end: rendered cameras at 30 Hz into the real node over DDS, and its boxes back."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..errors import NodeError
from ..evaluation.bag_writer import BagWriter
from ..evaluation.robustness import Latency, latency
from ..replay.recording import Recording
from ..replay.session import replay_recording
from ..simulation import render_sequence
from ..types import Box, Modality

RATE = 30.0
SIZE = (640, 480)


@dataclass(frozen=True)
class NodeRow:
    """Times of the frames that were answered, s. answered: of `frames` RGB frames.

    latency: from a frame's sending to its box's receipt. inference: what of it the tracker itself took.
    around: the rest, frame by frame: the way there and back, pairing, and waiting for the frame before.
    """

    model: str
    device: str
    frames: int
    answered: int
    latency: Latency
    inference: Latency
    around: Latency

    @property
    def spans(self) -> dict[str, Latency]:
        return {'latency': self.latency, 'inference': self.inference, 'around': self.around}


def measure_node(modality: Modality, frames: int, parameters: dict[str, object]) -> NodeRow:
    """Play `frames` moments in real time. NodeError where the node cannot start, dies, or answers nothing."""
    sequence = render_sequence(modality, frames, *SIZE, rate=RATE)
    with tempfile.TemporaryDirectory() as folder:
        bag = Path(folder, 'bag')
        with BagWriter(bag, modality) as writer:
            for i in range(len(sequence)):
                stamp = int(sequence.stamps_ns[i])
                writer.write_camera_info(stamp, *SIZE, sequence.camera)
                writer.write_rgb(stamp, sequence.rgb[i])
                writer.write_x(stamp, sequence.x[i])
                writer.write_truth(stamp, Box.of(sequence.boxes[i]) if sequence.visible[i] else None)
        replayed = replay_recording(
            Recording(bag, modality),
            Path(folder, 'node.log'),
            parameters=parameters,
        )
    # the first one is the target's own, and nobody looks for it
    whole, own = replayed.result.latency[1:], replayed.inference[1:]
    times = [found for span in (whole, own, whole - own) if (found := latency(span)) is not None]
    if not times:
        raise NodeError('the node answered no frame')
    return NodeRow(replayed.model, replayed.device, replayed.frames, replayed.answered, *times)
