"""From two frames with boxes to one training pair: mirrored, jittered, cropped, brightened, normalised.

As in the published training, with its order of draws. There, 5 % of the samples were meant to become grey,
which fails for six channels and only throws the sample away; so nothing becomes grey here either.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ..model.config import SDSTrackConfig
from ..sensing.appearance import Appearance
from ..tracking.crops import MEAN, STD, crop
from ..types import Box, Image

FloatImage = npt.NDArray[np.float32]


class LabelledFrame(NamedTuple):
    """A frame with its target: RGB uint8 (H,W,3), X as its sensor gave it (H,W[,3]), box in px."""

    rgb: Image
    x: Image
    box: Box


class Jitter(NamedTuple):
    """How far a crop is off the target, so that the target is not always in its middle."""

    scale: float  # standard deviation of the logarithm of width and height
    center: float  # largest shift times two, in units of the square root of the box area


NO_JITTER = Jitter(0.0, 0.0)
SEARCH_JITTER = Jitter(0.25, 3.0)
_MEAN, _STD = np.array(MEAN + MEAN, np.float32), np.array(STD + STD, np.float32)


class Sample(NamedTuple):
    """One pair, normalised: template (6,t,t), search (6,s,s) float32, box (4,) xywh of the search crop."""

    template: FloatImage
    search: FloatImage
    box: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a pair; the defaults are those of the published training.

    Mirroring happens twice: once for both frames alike, once more for each crop alone.
    """

    config: SDSTrackConfig
    template_jitter: Jitter = NO_JITTER
    search_jitter: Jitter = SEARCH_JITTER
    mirror: float = 0.5  # probability of each of the two mirrorings
    brightness: float = 0.2  # factor 1 - b to 1 + b, on all six channels alike

    def pair(
        self,
        template: LabelledFrame,
        search: LabelledFrame,
        appearance: Appearance,
        random: np.random.Generator,
    ) -> Sample | None:
        """A training pair, or None where the jittered box is too small to be cropped."""
        config = self.config
        if random.random() < self.mirror:
            template, search = mirrored(template), mirrored(search)
        made = []
        for frame, jitter, factor, size in (
            (template, self.template_jitter, config.template_factor, config.template_size),
            (search, self.search_jitter, config.search_factor, config.search_size),
        ):
            around = jittered(frame.box, jitter, random)
            if not (around.area > 0 and math.ceil(math.sqrt(around.area) * factor) >= 1):
                return None
            prepared = appearance.prepare(frame.x)
            rgb, scale = crop(frame.rgb, around, factor, size)
            x, _ = crop(frame.x, around, factor, size, prepared.convert)
            made.append(
                self._finish(np.dstack((rgb, x)), box_in_crop(frame.box, around, scale, size), random)
            )
        return Sample(made[0][0], made[1][0], made[1][1])

    def _finish(
        self, patch: Image, box: npt.NDArray[np.float32], random: np.random.Generator
    ) -> tuple[FloatImage, npt.NDArray[np.float32]]:
        """uint8 crop (s,s,6) -> brightened, perhaps mirrored, normalised (6,s,s); and its box."""
        brightness = np.float32(random.uniform(1 - self.brightness, 1 + self.brightness) / 255)
        image = np.minimum(patch.astype(np.float32) * brightness, np.float32(1))
        if random.random() < self.mirror:
            image = image[:, ::-1]
            box = np.array((1 - (box[0] + box[2]), *box[1:]), np.float32)
        image = (image - _MEAN) / _STD
        return np.ascontiguousarray(image.transpose(2, 0, 1)), box


def mirrored(frame: LabelledFrame) -> LabelledFrame:
    """Left and right swapped; pixel column x goes to W-1-x."""
    width = frame.rgb.shape[1]
    box = frame.box
    return LabelledFrame(
        cv2.flip(frame.rgb, 1), cv2.flip(frame.x, 1), box._replace(x=width - 1 - (box.x + box.w))
    )


def jittered(box: Box, jitter: Jitter, random: np.random.Generator) -> Box:
    """The box with random size and place; two normal draws, then two uniform ones."""
    w, h = np.array([box.w, box.h]) * np.exp(jitter.scale * random.standard_normal(2))
    reach = math.sqrt(w * h) * jitter.center
    dx, dy = reach * (random.random(2) - 0.5)
    cx, cy = box.center
    return Box.from_center(cx + dx, cy + dy, float(w), float(h))


def box_in_crop(box: Box, around: Box, scale: float, size: int) -> npt.NDArray[np.float32]:
    """`box` x, y, w, h in units of the crop taken around another one, float32 (4,).

    The middle of the crop is pixel (size-1)/2, as in the published training.
    """
    middle = (size - 1) / 2
    (cx, cy), (ax, ay) = box.center, around.center
    w, h = box.w * scale, box.h * scale
    inside = Box.from_center(middle + (cx - ax) * scale, middle + (cy - ay) * scale, w, h)
    return np.array(inside, np.float32) / np.float32(size)
