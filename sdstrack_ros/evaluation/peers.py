"""The trackers that OpenCV brings, on the RGB or the X stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import SettingError
from ..sensing.appearance import appearance_for
from ..types import Box, Image, Modality, Mode, Observation


@dataclass(frozen=True)
class PeerKind:
    """How to make one; `files`: what its files are, in order."""

    create: Callable[[tuple[Path, ...]], Any]
    files: tuple[str, ...] = ()
    usage: str = ''


_contrib: Any = cv2  # the type stubs lack these trackers


def _csrt(_: tuple[Path, ...]) -> Any:
    return _contrib.TrackerCSRT_create()


def _kcf(_: tuple[Path, ...]) -> Any:
    return _contrib.TrackerKCF_create()


def _nano(files: tuple[Path, ...]) -> Any:
    params = _contrib.TrackerNano_Params()
    params.backbone, params.neckhead = (str(path) for path in files)
    return _contrib.TrackerNano_create(params)


PEERS = {
    'csrt': PeerKind(_csrt),
    'kcf': PeerKind(_kcf),
    'nano': PeerKind(_nano, ('backbone', 'neckhead'), 'nano=BACKBONE.onnx,NECKHEAD.onnx'),
}


class Peer:
    """One OpenCV tracker on one stream. X is shown to it as the three channels that SDSTrack sees."""

    def __init__(self, name: str, stream: str, modality: Modality | None, files: tuple[Path, ...]) -> None:
        if stream == 'x' and modality is None:
            raise SettingError(f'peer {name}@x: the sequence has no X stream')
        self.mode = Mode.X_ONLY if stream == 'x' else Mode.RGB_ONLY
        self._kind, self._files = PEERS[name], files
        self._appearance = appearance_for(modality) if stream == 'x' and modality is not None else None
        self._tracker: Any = None

    def start(self, observation: Observation, box: Box) -> None:
        """Raises SettingError where the first frame lacks the stream."""
        picture = self._picture(observation)
        if picture is None:
            raise SettingError('the first frame lacks the stream of this peer')
        try:
            self._tracker = self._kind.create(self._files)
            self._tracker.init(picture, tuple(round(v) for v in box))
        except (cv2.error, AttributeError) as error:
            raise SettingError(f'OpenCV {cv2.__version__} cannot run this peer: {error}') from None

    def update(self, observation: Observation) -> tuple[Box | None, float] | None:
        """Box (None = not found) and score; None where this frame lacks the stream."""
        picture = self._picture(observation)
        if picture is None:
            return None
        found, box = self._tracker.update(picture)
        if not found:
            return None, 0.0
        score = self._tracker.getTrackingScore() if hasattr(self._tracker, 'getTrackingScore') else 1.0
        return Box.of(box), float(score)

    def _picture(self, observation: Observation) -> Image | None:
        """BGR, which is what these trackers were made for."""
        if self._appearance is None:
            frame = observation.rgb
            return None if frame is None else np.ascontiguousarray(frame.image[..., ::-1])
        if observation.x is None:
            return None
        return np.ascontiguousarray(self._appearance.to_channels(observation.x.image)[..., ::-1])
