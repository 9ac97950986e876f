"""Who is evaluated: SDSTrack as the node runs it, and what a user would otherwise pick.

A `TrackerSpec` is a small picklable description; `build` makes the tracker in the process that runs it.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..errors import SettingError
from ..model.defaults import load_default, weight_folders
from ..model.network import SDSTrack
from ..model.precision import at_precision
from ..tracking.session import TargetSession
from ..tracking.tracker import Tracker
from ..types import Box, Modality, Mode, Observation, TargetState
from .peers import PEERS, Peer


@dataclass(frozen=True)
class Answer:
    """What a tracker says of one frame; held: the box is an earlier one, box None: there is none."""

    box: Box | None
    score: float
    state: TargetState
    mode: Mode
    held: bool


class Contestant(Protocol):
    """A tracker under evaluation."""

    def start(self, observation: Observation, box: Box) -> None: ...
    def step(self, observation: Observation | None, now_ns: int) -> Answer: ...


@dataclass(frozen=True)
class TrackerSpec:
    """SDSTrack (name 'sdstrack') with its weights, or a peer on one stream.

    checkpoint None: the weights that ship for the sequence's modality. missing: what stands in for a missing
    stream (see Tracker). files: the ONNX files of peers that need some.
    """

    name: str = 'sdstrack'
    checkpoint: Path | None = None
    device: str = 'cpu'
    precision: str = 'fp32'
    missing: str = 'auto'
    stream: str = 'rgb'
    files: tuple[Path, ...] = ()

    @property
    def label(self) -> str:
        return self.name if self.name == 'sdstrack' or self.stream == 'rgb' else f'{self.name} on X'

    @property
    def needs_x(self) -> bool:
        """Whether it cannot run on RGB alone."""
        return self.stream == 'x'

    @property
    def identity(self) -> str:
        """Changes when the results may: the description and the content of its files."""
        paths = list(self.files)
        if self.checkpoint is not None:
            paths.append(self.checkpoint)
        elif self.name == 'sdstrack':
            paths += [path for folder in weight_folders() for path in sorted(folder.glob('*.safetensors'))]
        return ' '.join([repr(self), *map(_digest, paths)])

    def build(self, modality: Modality | None) -> Contestant:
        """The tracker for a sequence of this modality (None: RGB alone, with the depth weights)."""
        if self.name != 'sdstrack':
            return _PeerRun(Peer(self.name, self.stream, modality, self.files))
        model = _model(self.checkpoint, modality or Modality.DEPTH, self.device, self.precision)
        return _SessionRun(TargetSession(Tracker(model, modality or Modality.DEPTH, self.missing)))


def parse_peer(text: str) -> TrackerSpec:
    """NAME, NAME@x for the X stream, =FILE,FILE for its ONNX files: csrt, kcf@x, nano=back.onnx,head.onnx."""
    head, _, files = text.partition('=')
    name, _, stream = head.partition('@')
    if name not in PEERS:
        raise SettingError(f'peer {name!r} is not one of {", ".join(PEERS)}')
    if stream not in ('', 'rgb', 'x'):
        raise SettingError(f'peer {text!r}: stream {stream!r}, expected rgb or x')
    paths = tuple(Path(file) for file in files.split(',') if file)
    needed = PEERS[name].files
    if len(paths) != len(needed):
        raise SettingError(f'peer {name} needs {len(needed)} files: --peer {PEERS[name].usage}')
    for path in paths:
        if not path.is_file():
            raise SettingError(f'peer {name}: no such file: {path}')
    return TrackerSpec(name=name, stream=stream or 'rgb', files=paths)


class _SessionRun:
    """The node's own session, stepped with the frame's own time."""

    def __init__(self, session: TargetSession) -> None:
        self._session = session

    def start(self, observation: Observation, box: Box) -> None:
        self._session.start(observation, box)

    def step(self, observation: Observation | None, now_ns: int) -> Answer:
        estimate = self._session.step(observation, now_ns)
        return Answer(estimate.box, estimate.score, estimate.state, estimate.mode, estimate.held)


class _PeerRun:
    """A peer sees its one stream; where that is missing or it finds nothing, its last box is held."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._box: Box | None = None

    def start(self, observation: Observation, box: Box) -> None:
        self._peer.start(observation, box)
        self._box = box

    def step(self, observation: Observation | None, now_ns: int) -> Answer:
        seen = self._peer.update(observation) if observation is not None else None
        if seen is None:
            return Answer(self._box, 0.0, TargetState.UNCERTAIN, Mode.BLIND, held=True)
        box, score = seen
        if box is None:
            return Answer(self._box, score, TargetState.LOST, self._peer.mode, held=True)
        self._box = box
        return Answer(box, score, TargetState.TRACKING, self._peer.mode, held=False)


@functools.lru_cache(maxsize=2)
def _model(checkpoint: Path | None, modality: Modality, device: str, precision: str) -> SDSTrack:
    if checkpoint is not None:
        model = SDSTrack.from_checkpoint(checkpoint, device=device)
    else:
        model = load_default(modality, device=device)
    return at_precision(model, precision)[0]


@functools.lru_cache(maxsize=16)
def _digest(path: Path) -> str:
    """Of the content; a file that cannot be read is reported when it is loaded."""
    if not path.is_file():
        return 'missing'
    return hashlib.sha256(path.read_bytes()).hexdigest()
