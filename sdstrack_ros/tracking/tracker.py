"""The tracker: a target box in the first frame, a box in every frame after, from RGB, X, or both.

    tracker = Tracker(model, 'depth')
    tracker.init(rgb, depth, Box(x, y, w, h))
    result = tracker.track(rgb, depth)          # either may be None while its sensor is down

As in the published tracker the template is not renewed and there is no motion model. Where the weights
bring a calibration (or `settings` are given), a doubted target is held at its last believed place and
looked for around it; and since the size of the target is known in its first frame, what the
network makes of it there corrects its later judgements, which the box follows at the calibrated rate.
Without, the box is the network's, as published.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import BoxError
from ..model.network import SDSTrack, TokenMasks, TrackerOutput, decode
from ..sensing.appearance import appearance_for
from ..types import Box, Image, Modality, Mode, TargetState
from .crops import checked_box, clip, crop, hann_window, normalise
from .streams import Pair, observe, stand_in
from .target import Look, TargetMonitor, TargetSettings

LEAST_SIDE = 10.0
"""Of a box, px, as published; for a calibrated tracker no more than the target had in its first frame."""


@dataclass(frozen=True)
class TrackResult:
    """The answer for one frame."""

    box: Box  # px; an earlier one where `held`
    score: float  # after the window, 0 to 1; 0 in mode BLIND
    raw_score: float  # before the window
    mode: Mode  # the streams that the answer rests on
    state: TargetState
    held: bool  # the target was not seen, or not believed, in this frame
    reason: str = ''  # of the doubt


class Tracker:
    """See the module. `missing` is one of `streams.MISSING`, explained there."""

    def __init__(
        self,
        model: SDSTrack,
        modality: str | Modality,
        missing: str = 'auto',
        settings: TargetSettings | None = None,
    ) -> None:
        self.model = model
        self.modality = modality
        config = model.config
        self._reacquires = settings is not None or config.calibration is not None
        self._size_rate = config.calibration.size_rate if config.calibration is not None else None
        self._settings = settings or TargetSettings().calibrated(config.calibration)
        self._monitor = TargetMonitor(self._settings, config.search_factor)
        self._appearance = appearance_for(modality)
        self.missing = stand_in(missing)
        self._device = next(model.parameters()).device
        self._window = hann_window(config.search_grid).to(self._device)
        self._no_window = torch.ones_like(self._window)
        self._template = torch.empty(0)
        self._template_pair = Pair(None, None)
        self._earlier = Pair(None, None)
        self._known = (self._template_pair, Box(0, 0, 0, 0))  # a frame, and where the target is in it
        self._size_bias: dict[Mode, tuple[float, float]] = {}
        self._size: tuple[int, int] | None = None
        self._least_side = LEAST_SIDE
        self.box: Box | None = None
        """Where the target was last reported, px; None before `init`."""

    @property
    def state(self) -> TargetState:
        return self._monitor.state

    @property
    def template_complete(self) -> bool:
        """Whether both streams have shown the target. A missing half is taken once its stream is back."""
        return self._template_pair.mode == Mode.FUSED

    def init(self, rgb: Image | None, x: Image | None, box: Sequence[float]) -> None:
        """Set the target.

        rgb: uint8 (H,W,3). x: raw, as `sensing.appearance` has it for the modality. One may be None.
        box: x, y, w, h in px. ImageError and BoxError leave the tracker as it was.
        """
        appearance = appearance_for(self.modality)
        pair, size = observe(rgb, x, appearance, None)
        box = checked_box(box, *size)
        template, _ = self._crops(
            pair, box, self.model.config.template_factor, self.model.config.template_size
        )
        pair = pair.copied()
        self._appearance, self._size = appearance, size
        self._template, self._template_pair, self._earlier = template, pair, pair
        self._known, self._size_bias = (pair, box), {}
        self._least_side = LEAST_SIDE if self._size_rate is None else min(LEAST_SIDE, box.w, box.h)
        self._monitor.start(box)
        self.box = box

    def track(self, rgb: Image | None, x: Image | None) -> TrackResult:
        """Find the target in the next frame; images as for `init`, of the same size.

        Where no stream is there that has shown the target, the last box comes back in mode BLIND. ImageError
        leaves the tracker as it was.
        """
        if self.box is None or self._size is None:
            raise BoxError('no target: call init with a box first')
        if rgb is None and x is None:
            return self._blind()
        pair, _ = observe(rgb, x, self._appearance, self._size)
        fresh = (pair & self._template_pair).mode
        if fresh == Mode.BLIND:
            return self._blind()
        seen = pair.filled_from(self._earlier) if self.missing == 'last' else pair
        look = self._monitor.look if self._reacquires else Look(self.box)
        box, score, raw_score = self._locate(seen, look)
        state = self._monitor.update(score, box, self._size)
        held = self._reacquires and state is not TargetState.TRACKING
        self.box = self._monitor.box if held else box
        if self.missing == 'last':
            self._earlier = seen.copied()
        if (
            not self.template_complete
            and state is TargetState.TRACKING
            and score >= self._monitor.believed_score
        ):
            self._complete_template(pair)
        return TrackResult(self.box, score, raw_score, fresh, state, held, self._monitor.reason)

    def _blind(self) -> TrackResult:
        assert self.box is not None
        return TrackResult(self.box, 0.0, 0.0, Mode.BLIND, self.state, True, 'no stream to go by')

    def _locate(self, seen: Pair, look: Look) -> tuple[Box, float, float]:
        """Box, windowed and raw score."""
        assert self._size is not None
        around = look.box
        found, score, raw_score = self._network_box(seen, look)
        if found is None:
            return around, 0.0, 0.0
        if self._size_rate is not None:
            bias = self._bias_of_size(seen)
            w, h = (
                old * (new / wrong / old) ** self._size_rate
                for old, new, wrong in ((around.w, found.w, bias[0]), (around.h, found.h, bias[1]))
            )
            found = Box.from_center(*found.center, w, h)
        return clip(found, *self._size, self._least_side), score, raw_score

    def _bias_of_size(self, seen: Pair) -> tuple[float, float]:
        """How many times too wide and too high the network finds the target in the frame where it is known.

        The error is much the same in later frames, and left alone it would grow: a box that is too large
        widens the next search region, and the target is again found too large there. Judged once for each
        set of streams, since they differ.
        """
        (known, box), streams = self._known, (seen & self._template_pair).mode
        known = known & seen
        if known.mode != streams:
            return 1.0, 1.0
        if streams not in self._size_bias:
            found, _, _ = self._network_box(known, Look(box))
            sighted = found is not None and box.contains(found.center)
            self._size_bias[streams] = (found.w / box.w, found.h / box.h) if found and sighted else (1.0, 1.0)
        return self._size_bias[streams]

    def _network_box(self, seen: Pair, look: Look) -> tuple[Box | None, float, float]:
        """What the network says, windowed and raw score; None where that is not a number."""
        size, factor = self.model.config.search_size, self.model.config.search_factor * look.scale
        mode = Mode.FUSED if self.missing in ('zero', 'copy') else (seen & self._template_pair).mode
        search, resize = self._crops(seen, look.box, factor, size)
        masks = self._absent(seen) if self.missing == 'zero' else None
        with torch.inference_mode():
            out = self.model(self._template, search, mode=mode, token_masks=masks)
            window = self._no_window if look.overview else self._window
            cx, cy, w, h, score, raw_score = self._answer(out, window, resize).tolist()
        if not all(map(math.isfinite, (cx, cy, w, h, score))):
            return None, 0.0, 0.0
        half = 0.5 * size / resize
        px, py = look.box.center
        return Box.from_center(cx + (px - half), cy + (py - half), w, h), score, raw_score

    def _answer(self, out: TrackerOutput, window: Tensor, resize: float) -> Tensor:
        """Centre and size in px of the search region, windowed and raw score: one tensor, one transfer."""
        windowed = window * out.score_map
        boxes, _ = decode(windowed, out.size_map, out.offset_map)
        pixels = boxes.view(4) * self.model.config.search_size / resize
        return torch.cat((pixels, windowed.amax().view(1), out.score_map.amax().view(1)))

    def _crops(self, pair: Pair, box: Box, factor: float, size: int) -> tuple[Tensor, float]:
        """Network input (1,6,size,size) about the box, and its pixels per pixel of the image."""
        patches: list[npt.NDArray[np.uint8] | None] = []
        resize = 1.0
        for picture in (pair.rgb, pair.x):
            if picture is None:
                patches.append(None)
            else:
                patch, resize = crop(picture.image, box, factor, size, picture.convert)
                patches.append(patch)
        rgb, x = patches
        if self.missing == 'copy':
            rgb, x = (x if rgb is None else rgb), (rgb if x is None else x)
        return normalise(rgb, x, self._device), resize

    def _absent(self, seen: Pair) -> TokenMasks:
        """Masks that blank what the template or this frame lacks."""
        config = self.model.config

        def mask(present: object, grid: int) -> Tensor | None:
            return None if present else torch.ones(1, grid**2, dtype=torch.bool, device=self._device)

        return (
            mask(self._template_pair.rgb, config.template_grid),
            mask(self._template_pair.x, config.template_grid),
            mask(seen.rgb, config.search_grid),
            mask(seen.x, config.search_grid),
        )

    def _complete_template(self, pair: Pair) -> None:
        """Take the half that was missing when the target was set from this frame, if it is there."""
        config, known = self.model.config, self._template_pair
        assert self.box is not None
        if pair.mode != Mode.FUSED:
            return
        template, _ = self._crops(pair, self.box, config.template_factor, config.template_size)
        half = slice(0, 3) if known.rgb is None else slice(3, 6)
        self._template[:, half] = template[:, half]
        self._template_pair = known.filled_from(pair)
        self._known = (pair.copied(), self.box)
