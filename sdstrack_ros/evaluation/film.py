"""Film strips: a few frames of a sequence with the true box and the answers drawn in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..sensing.appearance import appearance_for
from ..types import Image, Modality, Observation
from .overlap import FloatArray, has_box
from .plots import TRUTH_COLOR, tracker_colors
from .results import SequenceResult
from .sequences import EvaluationSequence, ImageFiles

WIDTH = 260  # px of one picture; drawn at twice its size on the page's grid
SHOWN = 8


@dataclass(frozen=True)
class Still:
    """One frame of a strip: JPEGs of both streams (empty = none), and the moment."""

    rgb: bytes
    x: bytes
    seconds: float
    note: str


def film_strip(
    sequence: EvaluationSequence, results: Sequence[SequenceResult], shown: int = SHOWN
) -> list[Still]:
    """`shown` stills, evenly spaced, with the boxes of the results (the first is ours) and the truth."""
    own = results[0]
    rows = np.unique(np.linspace(0, len(own) - 1, min(shown, len(own))).round().astype(int))
    colors = tracker_colors([r.tracker for r in results])
    stills = []
    for row, observation in zip(rows, _observations_at(sequence, own.stamps_ns[rows]), strict=True):
        boxes = [(TRUTH_COLOR, own.truth[row], 2)]
        for result in reversed(results):
            match = np.flatnonzero(result.stamps_ns == own.stamps_ns[row])
            if len(match):
                boxes.append((colors[result.tracker], result.boxes[match[0]], 2 if result is own else 1))
        rgb_there, x_there = own.present[row]
        stills.append(
            Still(
                rgb=_still(
                    observation.rgb.image if observation and observation.rgb else None, boxes, bool(rgb_there)
                ),
                x=_still(_picture(observation, sequence.modality), boxes, bool(x_there)),
                seconds=float(own.stamps_ns[row] - own.stamps_ns[0]) * 1e-9,
                note=_note(own, row, sequence.modality),
            )
        )
    return stills


def _observations_at(sequence: EvaluationSequence, stamps: Iterable[int]) -> list[Observation | None]:
    """None where neither sensor had a usable frame."""
    wanted = [int(stamp) for stamp in stamps]
    if isinstance(sequence.frames, ImageFiles):
        return [sequence.frames.read(sequence.frames.stamps_ns.index(stamp)) for stamp in wanted]
    found = {}
    for observation in sequence.frames:
        if observation.lead.stamp_ns in wanted:
            found[observation.lead.stamp_ns] = observation
            if len(found) == len(wanted):
                break
    return [found.get(stamp) for stamp in wanted]


def _picture(observation: Observation | None, modality: Modality | None) -> Image | None:
    if modality is None or observation is None or observation.x is None:
        return None
    return appearance_for(modality).to_channels(observation.x.image)


def _still(image: Image | None, boxes: Sequence[tuple[str, FloatArray, int]], there: bool) -> bytes:
    if image is None:
        return b''
    scale = WIDTH / image.shape[1]
    size = (WIDTH, max(1, round(image.shape[0] * scale)))
    picture = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    picture = np.ascontiguousarray(picture[..., ::-1])
    if not there:
        picture //= 5  # what the tracker did not get to see
    for color, box, thickness in boxes:
        if has_box(box[None])[0]:
            x, y, w, h = (round(float(v) * scale) for v in box)
            cv2.rectangle(picture, (x, y), (x + w, y + h), _bgr(color), thickness, cv2.LINE_AA)
    encoded, data = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, 82])
    assert encoded
    return data.tobytes()


def _note(result: SequenceResult, row: int, modality: Modality | None) -> str:
    rgb, x = result.present[row]
    missing = [name for name, there in (('RGB', rgb), ('X', x or modality is None)) if not there]
    if missing:
        return f'{" and ".join(missing)} missing'
    return '' if has_box(result.truth[row : row + 1])[0] else 'not visible'


def _bgr(color: str) -> tuple[int, int, int]:
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return blue, green, red
