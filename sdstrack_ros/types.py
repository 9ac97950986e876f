"""The small values that cross the boundaries between the parts.

Stamps are integer nanoseconds, so that equal stamps are equal. Boxes are in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any, NamedTuple

import numpy.typing as npt

Image = npt.NDArray[Any]


class Modality(str, Enum):
    """What the second stream, X, measures."""

    DEPTH = 'depth'
    THERMAL = 'thermal'
    EVENT = 'event'


class Mode(IntEnum):
    """Which sensors an answer rests on; the numbers are those of msg/TrackedBox."""

    FUSED = 0
    RGB_ONLY = 1
    X_ONLY = 2
    BLIND = 3


class TargetState(IntEnum):
    """What is known of the target; the numbers are those of msg/TrackedBox."""

    IDLE = 0
    TRACKING = 1
    UNCERTAIN = 2
    LOST = 3


class SensorState(IntEnum):
    """How a sensor does; the numbers are those of msg/SensorHealth."""

    NOT_RECEIVED = 0
    OK = 1
    SLOW = 2
    STALE = 3
    INVALID = 4


class Box(NamedTuple):
    """Axis-aligned box: top left corner and size, pixels. Unpacks as x, y, w, h."""

    x: float
    y: float
    w: float
    h: float

    @classmethod
    def of(cls, values: Sequence[float] | npt.NDArray[Any]) -> Box:
        """From any four numbers x, y, w, h."""
        x, y, w, h = (float(v) for v in values)
        return cls(x, y, w, h)

    @classmethod
    def from_center(cls, cx: float, cy: float, w: float, h: float) -> Box:
        return cls(cx - 0.5 * w, cy - 0.5 * h, w, h)

    @property
    def center(self) -> tuple[float, float]:
        return self.x + 0.5 * self.w, self.y + 0.5 * self.h

    @property
    def area(self) -> float:
        return self.w * self.h

    @property
    def is_finite(self) -> bool:
        return all(math.isfinite(v) for v in self)

    def contains(self, point: tuple[float, float]) -> bool:
        return self.x <= point[0] <= self.x + self.w and self.y <= point[1] <= self.y + self.h

    def iou(self, other: Box) -> float:
        """Intersection over union, 0 where either box is empty."""
        width = min(self.x + self.w, other.x + other.w) - max(self.x, other.x)
        height = min(self.y + self.h, other.y + other.h) - max(self.y, other.y)
        if not (width > 0 and height > 0):
            return 0.0
        shared = width * height
        return shared / (self.area + other.area - shared)


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of one sensor.

    image: RGB uint8 (H,W,3), or X as the sensor gave it: depth uint16 mm or float m (H,W),
    thermal uint8/uint16 (H,W) or (H,W,3), event picture uint8 (H,W,3).
    """

    stamp_ns: int
    image: Image
    frame_id: str = ''


@dataclass(frozen=True, eq=False)
class Observation:
    """What the sensors saw at one moment: a pair, or one frame alone with the reason why."""

    rgb: Frame | None
    x: Frame | None
    reason: str = ''

    @property
    def lead(self) -> Frame:
        """The frame that gives stamp and header: RGB, or X while RGB is missing."""
        frame = self.rgb if self.rgb is not None else self.x
        if frame is None:
            raise ValueError('an observation needs at least one frame')
        return frame

    @property
    def mode(self) -> Mode:
        if self.rgb is None:
            return Mode.BLIND if self.x is None else Mode.X_ONLY
        return Mode.RGB_ONLY if self.x is None else Mode.FUSED
