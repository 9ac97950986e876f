"""One answer per observation, whatever the sensors and the tracker do: box, state, and how far to trust it.

    session = TargetSession(tracker, SessionSettings(hold_timeout=1.0))
    session.start(observation, box)
    estimate = session.step(observation, now_ns)
    estimate = session.step(None, now_ns)           # no usable frame from either sensor

The node and the offline evaluation use this same class. While the target is not seen, its last box
is held, marked as held, and withdrawn after `hold_timeout`. No clock is read: time is an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..errors import ImageError
from ..settings import check, setting
from ..types import Box, Image, Mode, Observation, TargetState

Position = tuple[float, float, float]
Locate = Callable[[Image, Box], Position | None]
"""The X image as the sensor gave it and a box to the target's place: m, camera optical frame."""

SIGHTINGS_AFTER_WITHDRAWAL = 2
"""So many sightings in a row, and a target that was gone is TRACKING again."""


@dataclass(frozen=True)
class SessionSettings:
    """How long an unseen target is vouched for."""

    hold_timeout: float = setting(
        1.0,
        'how long the last box of an unseen target is held before it is withdrawn, s',
        minimum=0.0,
        maximum=60.0,
    )

    def __post_init__(self) -> None:
        check(self)


class Result(Protocol):
    """What a session needs of one result of the tracker."""

    @property
    def box(self) -> Box: ...
    @property
    def score(self) -> float: ...
    @property
    def mode(self) -> Mode: ...
    @property
    def state(self) -> TargetState: ...
    @property
    def held(self) -> bool: ...


class FrameTracker(Protocol):
    """What a session needs of the tracker; None stands for a stream without a usable frame."""

    def init(self, rgb: Image | None, x: Image | None, box: Box) -> object: ...
    def track(self, rgb: Image | None, x: Image | None) -> Result: ...


@dataclass(frozen=True)
class Estimate:
    """The answer to one observation.

    held: the box is an earlier one. box: None while there is no target or its box is withdrawn, px.
    position: m in the camera's optical frame, where measured in this very observation.
    """

    target_id: int
    state: TargetState
    held: bool
    box: Box | None
    score: float
    mode: Mode
    position: Position | None = None


class TargetSession:
    """Follows one target at a time; see the module. Not thread-safe.

    locate: measures the target's position in X, where X is depth and the camera is known; may be
    exchanged at any time.
    """

    def __init__(
        self, tracker: FrameTracker, settings: SessionSettings | None = None, locate: Locate | None = None
    ) -> None:
        self._tracker = tracker
        self._hold_ns = round((settings or SessionSettings()).hold_timeout * 1e9)
        self.locate = locate
        self.target_id = 0
        self.reset()

    def reset(self) -> None:
        """Drop the target; ids go on counting."""
        self._box: Box | None = None
        self._state = TargetState.IDLE
        self._seen_ns: int | None = None
        self._sightings_due = 0

    def start(self, observation: Observation, box: Box) -> int:
        """Follow a new target from this observation on; its id.

        Raises BoxError or ImageError, naming what is wrong; the former target then stays.
        """
        rgb, x = _images(observation)
        if rgb is None and x is None:
            raise ImageError(
                'the target cannot start on an observation without images; give a frame that has one'
            )
        self._tracker.init(rgb, x, box)
        self.reset()
        self._box, self._state = box, TargetState.TRACKING
        self.target_id += 1
        return self.target_id

    def step(self, observation: Observation | None, now_ns: int) -> Estimate:
        """The answer to one observation; None where neither sensor has a usable frame.

        Errors of the tracker pass through; the target is then as it was before the call.
        """
        if self._box is None:
            mode = observation.mode if observation is not None else Mode.BLIND
            return Estimate(0, TargetState.IDLE, False, None, 0.0, mode)
        rgb, x = _images(observation)
        if rgb is None and x is None:
            return self._unseen(self._doubted, True, 0.0, Mode.BLIND, now_ns)
        result = self._tracker.track(rgb, x)
        if result.state is not TargetState.TRACKING or result.held:
            self._box = result.box
            # Held though the tracker has no doubt: it knows the target only from the sensor that is down.
            state = self._doubted if result.state is TargetState.TRACKING else result.state
            held = result.held or state is TargetState.LOST
            return self._unseen(state, held, result.score, result.mode, now_ns)
        self._box, self._seen_ns = result.box, now_ns
        self._sightings_due = max(0, self._sightings_due - 1)
        self._state = TargetState.UNCERTAIN if self._sightings_due else TargetState.TRACKING
        position = self.locate(x, result.box) if self.locate is not None and x is not None else None
        return Estimate(self.target_id, self._state, False, result.box, result.score, result.mode, position)

    @property
    def _doubted(self) -> TargetState:
        """The state of a target that nobody looks at: no better than it was."""
        return TargetState.LOST if self._state is TargetState.LOST else TargetState.UNCERTAIN

    def _unseen(self, state: TargetState, held: bool, score: float, mode: Mode, now_ns: int) -> Estimate:
        if self._seen_ns is None or now_ns < self._seen_ns:  # never yet, or the clock was set back
            self._seen_ns = now_ns
        if held and now_ns - self._seen_ns > self._hold_ns:
            self._state = TargetState.LOST
            self._sightings_due = SIGHTINGS_AFTER_WITHDRAWAL
            return Estimate(self.target_id, TargetState.LOST, False, None, score, mode)
        self._state = state
        return Estimate(self.target_id, state, held, self._box, score, mode)


def _images(observation: Observation | None) -> tuple[Image | None, Image | None]:
    if observation is None:
        return None, None
    rgb, x = observation.rgb, observation.x
    return rgb.image if rgb is not None else None, x.image if x is not None else None
