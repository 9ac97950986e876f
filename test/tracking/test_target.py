"""The target's states from made-up scores and boxes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdstrack_ros.errors import SettingError
from sdstrack_ros.model.config import Calibration
from sdstrack_ros.tracking.target import Look, TargetMonitor, TargetSettings
from sdstrack_ros.types import Box, TargetState

SIZE = (640, 480)
BOX = Box(300.0, 200.0, 40.0, 40.0)
TRACKING, UNCERTAIN, LOST = TargetState.TRACKING, TargetState.UNCERTAIN, TargetState.LOST


def started() -> TargetMonitor:
    monitor = TargetMonitor()
    monitor.start(BOX)
    return monitor


def feed(monitor: TargetMonitor, *scores: float, box: Box = BOX) -> list[TargetState]:
    return [monitor.update(score, box, SIZE) for score in scores]


@pytest.mark.parametrize(
    ('score', 'box'),
    [
        (0.0, BOX),
        (math.nan, BOX),
        (0.9, Box(math.nan, 0.0, 1.0, 1.0)),
        (0.9, Box(300.0, 200.0, 0.5, 40.0)),
        (0.9, Box(0.0, 0.0, 640.0, 480.0)),
        (0.9, Box(500.0, 400.0, 40.0, 40.0)),
        (0.9, Box(280.0, 180.0, 90.0, 90.0)),
    ],
)
def test_one_frame_of_noise_changes_no_state(score: float, box: Box) -> None:
    monitor = started()
    feed(monitor, 0.9, 0.9)
    assert monitor.update(score, box, SIZE) is TRACKING
    assert feed(monitor, 0.9, 0.9) == [TRACKING, TRACKING]
    for target in (UNCERTAIN, LOST):
        while monitor.state is not target:
            feed(monitor, 0.0)
        feed(monitor, 0.9)
        assert monitor.state is target


def test_a_low_score_leads_through_uncertain_to_lost() -> None:
    assert feed(started(), *[0.1] * 11) == [TRACKING] * 2 + [UNCERTAIN] * 7 + [LOST] * 2


def test_a_doubtful_score_is_not_a_loss() -> None:
    assert feed(started(), *[0.3] * 50)[-1] is UNCERTAIN


def test_a_score_far_below_what_this_target_usually_has_is_doubted() -> None:
    """0.5 is well above the limit of the weights, but not for a target that was always found with 0.8."""
    monitor = started()
    feed(monitor, *[0.8] * 30)
    assert feed(monitor, *[0.5] * 3)[-1] is UNCERTAIN
    assert monitor.reason == 'score 0.50'
    assert feed(monitor, 0.8, 0.8)[-1] is TRACKING
    always_so = started()
    assert set(feed(always_so, *[0.5] * 60)) == {TRACKING}


def test_what_is_usual_may_change_slowly() -> None:
    monitor = started()
    falling = [0.8 - 0.002 * i for i in range(190)]
    assert set(feed(monitor, *falling)) == {TRACKING}


def test_believing_again_takes_more_than_the_limit_and_more_than_a_frame() -> None:
    monitor = started()
    feed(monitor, *[0.1] * 4)
    assert feed(monitor, *[0.42] * 20)[-1] is UNCERTAIN  # above `uncertain`, inside the margin
    assert feed(monitor, 0.5, 0.5) == [UNCERTAIN, TRACKING]


@pytest.mark.parametrize(
    ('box', 'reason'),
    [
        (Box(280.0, 180.0, 100.0, 100.0), 'area'),
        (Box(310.0, 210.0, 15.0, 15.0), 'area'),
        (Box(0.0, 200.0, 15.0, 20.0), 'leaves'),
        (Box(300.0, 200.0, 2.0, 30.0), 'collapsed'),
        (Box(1.0, 1.0, 630.0, 470.0), 'exploded'),
        (Box(700.0, 200.0, 40.0, 40.0), 'outside'),
    ],
)
def test_an_odd_box_is_doubted_whatever_the_score(box: Box, reason: str) -> None:
    monitor = started()
    assert feed(monitor, 0.9, 0.9, 0.9, box=box)[-1] is UNCERTAIN
    assert reason in monitor.reason
    assert monitor.box == BOX


def test_boxes_that_jump_about_are_doubted() -> None:
    monitor = started()
    for index in range(4):
        monitor.update(0.9, BOX._replace(x=50.0 + 150.0 * index, y=50.0 if index % 2 else 400.0), SIZE)
    assert monitor.state is UNCERTAIN
    assert 'jump' in monitor.reason


def test_a_true_jump_is_believed_on_the_second_frame() -> None:
    monitor = started()
    there = BOX._replace(x=360.0)
    assert feed(monitor, 0.9, 0.9, 0.9, box=there) == [TRACKING] * 3
    assert monitor.box == there


def test_a_target_that_grows_steadily_is_believed() -> None:
    monitor = started()
    for index in range(60):
        side = 40.0 * 1.02**index
        assert monitor.update(0.9, Box.from_center(320.0, 240.0, side, side), SIZE) is TRACKING


def look_again(monitor: TargetMonitor, score: float = 0.0, box: Box = BOX) -> Look:
    monitor.update(score, box, SIZE)
    return monitor.look


def test_overviews_and_close_looks_take_turns_while_the_target_is_not_seen() -> None:
    """Each overview is wider than the last, up to the limit, and then near again."""
    monitor, there = started(), Box(500.0, 100.0, 60.0, 20.0)
    assert monitor.look == Look(BOX)
    assert look_again(monitor) == Look(BOX), 'one frame of noise does not send it looking elsewhere'
    for scale in (2.5, 4.0, 2.5):
        assert look_again(monitor) == Look(BOX, scale, overview=True)
        assert look_again(monitor, 0.1, there) == Look(Box(510.0, 90.0, 40.0, 40.0)), (
            'its size is not trusted'
        )
    assert monitor.box == BOX


def test_an_overview_convinces_nobody() -> None:
    monitor = started()
    feed(monitor, 0.0, 0.0)
    while monitor.state is not LOST:
        score = 0.95 if monitor.look.overview else 0.0
        monitor.update(score, BOX, SIZE)
    assert monitor.reason


def test_a_target_that_jumped_is_back_after_two_frames_an_overview_and_two_close_looks() -> None:
    monitor, there = started(), Box(500.0, 100.0, 40.0, 40.0)
    feed(monitor, 0.9)
    states = feed(monitor, 0.1, 0.1) + feed(monitor, 0.3, 0.9, 0.9, box=there)
    assert states == [TRACKING, TRACKING, UNCERTAIN, UNCERTAIN, TRACKING]
    assert (monitor.box, monitor.look) == (there, Look(there))


def test_what_is_seen_but_doubted_is_looked_at_again() -> None:
    monitor, there = started(), BOX._replace(x=320.0)
    feed(monitor, *[0.3] * 3)
    assert look_again(monitor, 0.3, there) == Look(there)
    assert monitor.box == BOX


def test_a_candidate_that_fails_sends_the_search_back_to_the_last_place() -> None:
    monitor, there = started(), Box(500.0, 100.0, 40.0, 40.0)
    feed(monitor, 0.0, 0.0)
    feed(monitor, 0.2, 0.9, box=there)
    assert monitor.look == Look(there)
    assert look_again(monitor, 0.1, there) == Look(BOX)
    assert look_again(monitor, 0.1, there) == Look(BOX, 4.0, overview=True)


def test_an_overview_never_reaches_farther_than_the_image() -> None:
    monitor = TargetMonitor()
    large = Box(100.0, 100.0, 300.0, 300.0)
    monitor.start(large)
    feed(monitor, 0.0, 0.0, box=large)
    assert monitor.look.overview
    assert monitor.look.scale == pytest.approx(2 * 640 / (4 * 300))


def test_limits_come_from_the_weights() -> None:
    settings = TargetSettings().calibrated(Calibration(uncertain=0.8, lost=0.6))
    monitor = TargetMonitor(settings)
    monitor.start(BOX)
    assert feed(monitor, *[0.7] * 3)[-1] is UNCERTAIN
    assert feed(monitor, *[0.5] * 10)[-1] is LOST
    assert TargetSettings().calibrated(None) == TargetSettings()


def test_a_contradiction_is_named() -> None:
    with pytest.raises(SettingError, match=r'lost: .* is above uncertain'):
        TargetSettings(lost=0.5)


@settings(max_examples=100, deadline=None)
@given(
    frames=st.lists(
        st.tuples(
            st.one_of(st.floats(0.0, 1.0), st.just(math.nan)),
            st.tuples(*[st.floats(-100.0, 700.0)] * 4),
        ),
        max_size=60,
    )
)
def test_whatever_comes_the_search_stays_usable(frames: list[tuple[float, tuple[float, ...]]]) -> None:
    monitor = started()
    states = [TRACKING]
    for score, box in frames:
        states.append(monitor.update(score, Box.of(box), SIZE))
        assert 1.0 <= monitor.look.scale <= 4.0
        assert monitor.look.box.is_finite
        assert min(monitor.look.box.w, monitor.look.box.h) >= 3.0
        assert monitor.box.is_finite
    # A state holds for at least two frames before it worsens from TRACKING or heals.
    for before, now, after in zip(states, states[1:], states[2:], strict=False):
        assert not (before is TRACKING and now is not TRACKING and after is TRACKING)
