"""Whether the target is still seen: a small state machine over scores and boxes.

    monitor = TargetMonitor(TargetSettings().calibrated(model.config.calibration))
    monitor.start(box)
    state = monitor.update(score, box, (width, height))     # after every frame
    look = monitor.look                                                     # how to look at the next one

TRACKING becomes UNCERTAIN and LOST after several doubtful frames in a row, and TRACKING again after
several believable ones; a single frame changes nothing. While the target is not seen, overviews of a wide
region around its last place take turns with close looks at whatever is most like it there: an overview
tells where, but only a close look, at the usual scale, tells whether.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import SettingError
from ..settings import check, setting
from ..types import Box, TargetState

if TYPE_CHECKING:
    from ..model.config import Calibration  # at run time this would load torch for two numbers

AREA_STEP = 0.05
"""The usual area follows the seen one by at most this share per frame."""
SCORE_STEP = 0.03
"""The usual score goes this share of the way to each new one."""


@dataclass(frozen=True)
class Look:
    """A search region: `scale` times the usual one, about `box` (px).

    overview: the target may be anywhere in it, so that no place is likelier than another.
    """

    box: Box
    scale: float = 1.0
    overview: bool = False


@dataclass(frozen=True)
class TargetSettings:
    """Limits of the score (windowed, 0 to 1) and of the box; the score's belong to one set of weights."""

    uncertain: float = setting(0.4, 'score below which a box is doubted', minimum=0.0, maximum=1.0)
    fall: float = setting(
        0.7,
        'share of the usual score of this target below which a box is doubted, as when it is covered',
        minimum=0.0,
        maximum=1.0,
    )
    lost: float = setting(0.2, 'score below which the target is not seen', minimum=0.0, maximum=1.0)
    margin: float = setting(
        0.05, 'score above `uncertain` that is needed to believe again', minimum=0.0, maximum=0.5
    )
    uncertain_after: int = setting(3, 'doubtful frames in a row until UNCERTAIN', minimum=2, maximum=100)
    lost_after: int = setting(10, 'unseen frames in a row until LOST', minimum=2, maximum=1000)
    tracking_after: int = setting(2, 'believable frames in a row until TRACKING', minimum=2, maximum=100)
    max_jump: float = setting(
        1.0, 'largest step of the centre in one frame, in box sizes sqrt(w h)', minimum=0.1, maximum=10.0
    )
    max_area_ratio: float = setting(
        4.0, 'largest ratio of the area to the usual one, either way', minimum=1.1, maximum=100.0
    )
    min_side: float = setting(3.0, 'a box narrower or lower than this has collapsed, px', minimum=1.0)
    max_cover: float = setting(
        0.9, 'a box over more than this share of the image has exploded', minimum=0.1, maximum=1.0
    )
    edge_share: float = setting(
        0.25, 'a box at the border below this share of the usual area has left', minimum=0.0, maximum=1.0
    )
    search_growth: float = setting(
        2.5, 'factor from one overview for an unseen target to the next, wider one', minimum=1.1, maximum=4.0
    )
    max_search_scale: float = setting(
        4.0, 'widest overview relative to the usual search region', minimum=1.0, maximum=16.0
    )

    def __post_init__(self) -> None:
        check(self)
        if self.lost > self.uncertain:
            raise SettingError(f'lost: {self.lost} is above uncertain {self.uncertain}; it has to be below')

    def calibrated(self, calibration: Calibration | None) -> TargetSettings:
        """With the limits that belong to the weights, where the weights bring some."""
        if calibration is None:
            return self
        return dataclasses.replace(self, uncertain=calibration.uncertain, lost=calibration.lost)


class TargetMonitor:
    """See the module. IDLE until `start`.

    search_factor: side of the usual search region relative to sqrt(w h), as in the network's config.
    """

    def __init__(self, settings: TargetSettings | None = None, search_factor: float = 4.0) -> None:
        self.settings = settings or TargetSettings()
        self._search_factor = search_factor
        self.reset()

    def reset(self) -> None:
        """No target."""
        self.state = TargetState.IDLE
        self.reason = ''
        self._begin(Box(0.0, 0.0, 0.0, 0.0))

    def start(self, box: Box) -> None:
        """A target given by someone: believed until frames say otherwise."""
        self.state = TargetState.TRACKING
        self.reason = ''
        self._begin(box)

    def _begin(self, box: Box) -> None:
        self._believed_box = self._candidate = box
        self._usual_area = box.area
        self._usual_score = 0.0  # until there is one
        self._doubtful = self._unseen = self._believable = 0
        self._reach = 1.0  # scale of the latest overview
        self.look = Look(box)
        """How to look at the next frame; `update` judges what was found that way."""

    @property
    def believed_score(self) -> float:
        """Score that is needed to believe a box again."""
        return self._doubted_score + min(self.settings.margin, 0.5 * (1.0 - self._doubted_score))

    @property
    def _doubted_score(self) -> float:
        return max(self.settings.uncertain, self.settings.fall * self._usual_score)

    @property
    def box(self) -> Box:
        """Where the target was last believed to be."""
        return self._believed_box

    def update(self, score: float, box: Box, image_size: tuple[int, int]) -> TargetState:
        """Judge one frame: score (0 to 1, windowed in a close look), the network's box, image (w, h), px."""
        if self.state is TargetState.IDLE:
            raise RuntimeError('no target: call start first')
        wreck = self._wreck(box, image_size)
        if self.look.overview:
            return self._close_in_on(box.center, bool(wreck))
        implausible = wreck or self._implausible(box, image_size)
        seen = not wreck and score >= self.settings.lost  # NaN is not seen
        certain = score >= self._doubted_score
        believable = not implausible and score >= self.believed_score

        self._unseen = 0 if seen else self._unseen + 1
        self._doubtful = 0 if certain and not implausible else self._doubtful + 1
        self._believable = self._believable + 1 if believable else 0
        self.reason = implausible or ('' if certain else f'score {score:.2f}')
        self._decide()
        if not wreck:
            self._candidate = box
            if certain:
                self._follow_area(box.area)
        if math.isfinite(score):
            step = SCORE_STEP if self._usual_score else 1.0
            self._usual_score += step * (score - self._usual_score)
        if self.state is TargetState.TRACKING and not self._doubtful:
            self._believed_box = box
        self.look = self._next_look(seen, bool(implausible), image_size)
        return self.state

    def _close_in_on(self, place: tuple[float, float], wreck: bool) -> TargetState:
        """After an overview: one more frame without a sighting, and where to look for one."""
        self._doubtful, self._unseen, self._believable = self._doubtful + 1, self._unseen + 1, 0
        self._decide()  # for the reason that the last close look gave
        usual = self._believed_box
        self.look = Look(usual if wreck else Box.from_center(*place, usual.w, usual.h))
        self._candidate = self.look.box
        return self.state

    def _decide(self) -> None:
        if self.state is TargetState.TRACKING:
            if self._doubtful >= self.settings.uncertain_after:
                self.state = TargetState.UNCERTAIN
        elif self._believable >= self.settings.tracking_after:
            self.state = TargetState.TRACKING
        if self._unseen >= self.settings.lost_after:
            self.state = TargetState.LOST

    def _next_look(self, seen: bool, implausible: bool, image_size: tuple[int, int]) -> Look:
        tracking = self.state is TargetState.TRACKING
        if tracking:
            self._reach = 1.0
        if self._believable or (seen and not implausible and not tracking):
            return Look(self._candidate)
        if seen or self._unseen < self.settings.uncertain_after - 1:
            return Look(self._believed_box)
        usual_side = self._search_factor * math.sqrt(self._believed_box.area)
        everything = 2.0 * max(image_size) / usual_side  # covers the image from any place in it
        limit = max(1.0, min(self.settings.max_search_scale, everything))
        if self._reach >= limit:  # what is near again: it would be small in the widest one
            self._reach = 1.0
        self._reach = min(self._reach * self.settings.search_growth, limit)
        return Look(self._believed_box, self._reach, overview=True)

    def _wreck(self, box: Box, image_size: tuple[int, int]) -> str:
        """Why this cannot be the box of anything."""
        width, height = image_size
        if not box.is_finite:
            return 'box not finite'
        if min(box.w, box.h) < self.settings.min_side:
            return 'box collapsed'
        if box.area > self.settings.max_cover * width * height:
            return 'box exploded'
        cx, cy = box.center
        return '' if 0 <= cx <= width and 0 <= cy <= height else 'box outside the image'

    def _implausible(self, box: Box, image_size: tuple[int, int]) -> str:
        """Why this is hardly the box of this target."""
        ratio = box.area / self._usual_area
        x_gap = min(box.x, image_size[0] - box.x - box.w)
        y_gap = min(box.y, image_size[1] - box.y - box.h)
        if min(x_gap, y_gap) <= 1.0 and ratio < self.settings.edge_share:
            return 'box leaves the image'
        if not 1.0 / self.settings.max_area_ratio <= ratio <= self.settings.max_area_ratio:
            return f'area {ratio:.2g} times the usual'
        # A true jump agrees with the frame before it, a wild box with nothing.
        step = min(_step(self._believed_box, box), _step(self._candidate, box))
        return '' if step <= self.settings.max_jump else f'jump by {step:.1f} box sizes'

    def _follow_area(self, area: float) -> None:
        step = min(max(area / self._usual_area, 1.0 - AREA_STEP), 1.0 + AREA_STEP)
        self._usual_area *= step


def _step(before: Box, after: Box) -> float:
    (x0, y0), (x1, y1) = before.center, after.center
    return math.hypot(x1 - x0, y1 - y0) / math.sqrt(before.area)
