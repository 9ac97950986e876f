"""X as the model knows it: whatever the second sensor measures becomes three uint8 channels.

    appearance = appearance_for('depth')
    prepared = appearance.prepare(frame.image)      # statistics of the whole frame, once per frame
    picture = prepared.convert(frame.image[y0:y1, x0:x1])      # only the crop is converted

Converting a crop equals cropping the converted frame. Padding is added afterwards, as black.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..errors import ImageError, SettingError
from ..types import Image, Modality
from .depth import DepthAppearance
from .thermal import ThermalAppearance, ThermalSettings


class Prepared(Protocol):
    """What the whole frame says about the conversion of its pixels."""

    def convert(self, patch: Image) -> Image:
        """Raw X of this frame, or any part of it -> uint8 (h,w,3)."""


class Appearance(Protocol):
    """The conversion of one X stream."""

    def prepare(self, x_raw: Image) -> Prepared:
        """Look at the whole frame; ImageError where it is not an image of this modality."""

    def to_channels(self, x_raw: Image) -> Image:
        """The whole frame as the model sees it, uint8 (H,W,3)."""

    def reset(self) -> None:
        """Forget what was carried from earlier frames."""


class EventAppearance:
    """An event picture is already what the model knows; see `events.render_events`."""

    def prepare(self, x_raw: Image) -> EventAppearance:
        """uint8 (H,W,3) RGB: white ground, ON blue, OFF red. ImageError otherwise."""
        if x_raw.dtype != np.uint8 or x_raw.ndim != 3 or x_raw.shape[2] != 3 or x_raw.size == 0:
            raise ImageError(
                f'event picture is {x_raw.dtype} {x_raw.shape}, expected uint8 (height, width, 3)'
            )
        return self

    def convert(self, patch: Image) -> Image:
        return patch

    def to_channels(self, x_raw: Image) -> Image:
        return self.prepare(x_raw).convert(x_raw)

    def reset(self) -> None:
        """Nothing is carried from frame to frame."""


def appearance_for(modality: str | Modality, thermal: ThermalSettings | None = None) -> Appearance:
    """The conversion for one stream of this modality; keep one per stream, thermal has a memory."""
    try:
        modality = Modality(modality)
    except ValueError:
        known = ', '.join(each.value for each in Modality)
        raise SettingError(f'modality: {modality!r} is not one of {known}') from None
    if modality is Modality.DEPTH:
        return DepthAppearance()
    if modality is Modality.THERMAL:
        return ThermalAppearance(thermal)
    return EventAppearance()


def registration_problem(
    rgb_shape: tuple[int, ...], x_shape: tuple[int, ...], rgb_frame_id: str = '', x_frame_id: str = ''
) -> str | None:
    """Why X cannot share a box with RGB, or None where it is registered to it.

    Registered means one pixel grid: the same height and width and, where both say it, the same frame_id.
    """
    if rgb_shape[:2] != x_shape[:2]:
        (rgb_h, rgb_w), (x_h, x_w) = rgb_shape[:2], x_shape[:2]
        return f'not registered: X is {x_w}x{x_h}, RGB is {rgb_w}x{rgb_h}; use the aligned topic'
    if rgb_frame_id and x_frame_id and rgb_frame_id != x_frame_id:
        return f'not registered: X is in frame {x_frame_id!r}, RGB in {rgb_frame_id!r}; use the aligned topic'
    return None
