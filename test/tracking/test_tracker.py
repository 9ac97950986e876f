"""The tracker: the published closed loop, and what it does when streams, boxes or images are wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import synthetic
import torch

from sdstrack_ros.errors import BoxError, ImageError, SettingError
from sdstrack_ros.model import Calibration, SDSTrack, SDSTrackConfig
from sdstrack_ros.tracking import Tracker
from sdstrack_ros.tracking.streams import MISSING
from sdstrack_ros.types import Box, Mode, TargetState

MODALITIES = {'rgbd': 'depth', 'rgbt': 'thermal', 'rgbe': 'event'}
SMALL = SDSTrackConfig(
    dim=48,
    depth=3,
    heads=3,
    template_size=48,
    search_size=96,
    fusion_blocks=(1, 2),
    elimination_blocks=(1,),
    head_channels=16,
)
BOX = Box(100.0, 80.0, 40.0, 30.0)
SURE = Calibration(uncertain=0.0, lost=0.0)
HOPELESS = Calibration(uncertain=1.0, lost=1.0)


@pytest.fixture(scope='module')
def frames():
    return synthetic.sequence('rgbd', n=6)['frames']


def small_model(calibration: Calibration | None = None) -> SDSTrack:
    torch.manual_seed(1)
    model = SDSTrack(dataclasses.replace(SMALL, calibration=calibration)).eval()
    for name, parameter in model.named_parameters():
        if name.startswith('backbone.pos'):
            torch.nn.init.normal_(parameter)
    return model


def count_calls(model: SDSTrack) -> list[dict]:
    calls: list[dict] = []
    model.register_forward_pre_hook(
        lambda _module, args, kwargs: calls.append({'template': args[0], 'search': args[1], **kwargs}),
        with_kwargs=True,
    )
    return calls


@pytest.mark.parametrize('kind', MODALITIES)
def test_closed_loop_parity(published_model, golden, kind):
    expected = golden('tracker', f'{kind}_')
    frames = synthetic.sequence(kind)['frames']
    tracker = Tracker(published_model, MODALITIES[kind])
    tracker.init(*frames[0], Box.of(expected['state'][0]))
    for t, frame in enumerate(frames[1:], start=1):
        result = tracker.track(*frame)
        np.testing.assert_allclose(result.box, expected['state'][t], atol=5e-3, rtol=0)
        assert result.score == pytest.approx(expected['score'][t], abs=1e-4)
        assert result.raw_score == pytest.approx(expected['raw_max'][t - 1], abs=1e-4)
        assert result.mode == Mode.FUSED
        assert tracker.box == result.box


@pytest.mark.parametrize('missing', MISSING)
def test_modes_follow_the_streams(frames, missing):
    tracker = Tracker(small_model(), 'depth', missing)
    (rgb, depth), *_ = frames
    tracker.init(rgb, depth, BOX)
    assert tracker.template_complete
    assert tracker.track(rgb, depth).mode == Mode.FUSED
    assert tracker.track(rgb, None).mode == Mode.RGB_ONLY
    assert tracker.track(None, depth).mode == Mode.X_ONLY
    before = tracker.box
    blind = tracker.track(None, None)
    assert (blind.mode, blind.box, blind.held, blind.score) == (Mode.BLIND, before, True, 0.0)


def test_what_stands_in_for_a_missing_stream(frames):
    (rgb, depth), (rgb_1, _), *_ = frames
    seen = {}
    for missing in MISSING:
        model = small_model()
        calls = count_calls(model)
        tracker = Tracker(model, 'depth', missing)
        tracker.init(rgb, depth, BOX)
        tracker.track(rgb_1, None)
        seen[missing] = calls[0]
    assert seen['skip']['mode'] == Mode.RGB_ONLY
    assert {seen[name]['mode'] for name in ('zero', 'last', 'copy')} == {Mode.FUSED}
    masks = seen['zero']['token_masks']
    assert masks[:3] == (None, None, None)
    assert masks[3].all()
    rgb_half, x_half = seen['copy']['search'][0].split(3)
    assert torch.equal(rgb_half, x_half)
    assert seen['auto']['mode'] == Mode.RGB_ONLY
    model = small_model()
    calls = count_calls(model)
    tracker = Tracker(model, 'depth')
    tracker.init(rgb, depth, BOX)
    tracker.track(rgb_1, depth)
    assert torch.equal(seen['last']['search'], calls[0]['search'])


@pytest.mark.parametrize('missing', MISSING)
def test_stream_that_has_not_shown_the_target_does_not_answer(frames, missing):
    tracker = Tracker(small_model(HOPELESS), 'depth', missing)
    tracker.init(frames[0][0], None, BOX)
    assert not tracker.template_complete
    assert tracker.track(*frames[1]).mode == Mode.RGB_ONLY
    assert tracker.track(None, frames[2][1]).mode == Mode.BLIND


@pytest.mark.parametrize('absent', ['rgb', 'x'])
def test_missing_template_half_is_taken_when_sure(frames, absent):
    (rgb, depth), *rest = frames
    model = small_model(SURE)
    calls = count_calls(model)
    tracker = Tracker(model, 'depth')
    tracker.init(*((None, depth) if absent == 'rgb' else (rgb, None)), BOX)
    half, other = (slice(0, 3), slice(3, 6)) if absent == 'rgb' else (slice(3, 6), slice(0, 3))
    for rgb, depth in rest:
        if tracker.track(rgb, depth).mode == Mode.FUSED:
            break
    assert tracker.template_complete
    assert torch.equal(calls[0]['template'][:, other], calls[-1]['template'][:, other])
    assert calls[-1]['template'][:, half].std() > 0.3


def test_missing_template_half_is_not_taken_when_unsure(frames):
    tracker = Tracker(small_model(HOPELESS), 'depth')
    tracker.init(frames[0][0], None, BOX)
    for frame in frames[1:]:
        assert tracker.track(*frame).mode == Mode.RGB_ONLY
    assert not tracker.template_complete


def test_doubted_target_is_held_and_looked_for_farther_away(frames):
    model = small_model(HOPELESS)
    calls = count_calls(model)
    tracker = Tracker(model, 'depth')
    tracker.init(*frames[0], BOX)
    results = [tracker.track(*frames[0]) for _ in range(14)]
    assert results[0].state == TargetState.TRACKING
    assert results[-1].state == TargetState.LOST
    assert results[-1].held
    assert results[-1].box == BOX
    assert results[-1].reason
    outside = [(call['search'][0, 0] == call['search'][0, 0].min()).float().mean().item() for call in calls]
    assert outside[0] < 0.05, 'the usual search region lies within the image'
    assert max(outside) > 0.1, 'an overview reaches beyond'


def test_in_an_overview_every_place_is_as_likely(frames):
    """The network's peak lies near a corner; the window would leave little of it."""
    model = small_model(HOPELESS)

    def answer(_module, _images, out):
        score = torch.full_like(out.score_map, 0.01)
        score[..., 0, 1] = 0.6
        return out._replace(score_map=score)

    model.register_forward_hook(answer)
    tracker = Tracker(model, 'depth')
    tracker.init(*frames[0], BOX)
    results = [tracker.track(*frames[0]) for _ in range(4)]
    assert [result.score == pytest.approx(0.6) for result in results] == [False, False, True, False]
    assert results[2].raw_score == results[2].score


def test_uncalibrated_weights_follow_the_network(frames):
    tracker = Tracker(small_model(), 'depth')
    tracker.init(*frames[0], BOX)
    results = [tracker.track(*frames[i % 6]) for i in range(12)]
    assert not any(result.held for result in results)
    assert len({result.box for result in results}) > 6


def test_errors_leave_the_tracker_as_it_was(frames):
    (rgb, depth), (rgb_1, depth_1), *_ = frames
    tracker, twin = Tracker(small_model(), 'depth'), Tracker(small_model(), 'depth')
    for each in (tracker, twin):
        each.init(rgb, depth, BOX)
    bad_frames = [
        (rgb[:100], depth, '320x100'),
        (rgb, depth[:, :100], '100x240'),
        (rgb[:100, :100], depth[:100, :100], '100x100'),
        (rgb.astype(np.float32), depth, 'float32'),
        (rgb, depth.astype(np.int64), 'int64'),
        (rgb, depth[0], 'shape'),
        (rgb[..., :2], None, 'uint8'),
    ]
    for bad_rgb, bad_x, problem in bad_frames:
        with pytest.raises(ImageError, match=problem):
            tracker.track(bad_rgb, bad_x)
    for box in ((10, 10, 0, 0), (1000, 10, 20, 20), (float('nan'), 1, 2, 3)):
        with pytest.raises(BoxError):
            tracker.init(rgb_1, depth_1, box)
    with pytest.raises(ImageError):
        tracker.init(None, None, BOX)
    assert tracker.track(rgb_1, depth_1) == twin.track(rgb_1, depth_1)


def test_use_before_init_and_bad_settings(frames):
    tracker = Tracker(small_model(), 'depth')
    assert tracker.box is None
    assert tracker.state == TargetState.IDLE
    with pytest.raises(BoxError, match='init'):
        tracker.track(*frames[0])
    with pytest.raises(SettingError, match='skip, zero, last, copy'):
        Tracker(small_model(), 'depth', missing='guess')
    with pytest.raises(SettingError, match='sonar'):
        Tracker(small_model(), 'sonar')


def test_second_init_follows_the_new_target(frames):
    tracker, fresh = Tracker(small_model(), 'depth'), Tracker(small_model(), 'depth')
    tracker.init(*frames[0], BOX)
    tracker.track(*frames[1])
    other = Box(200.0, 150.0, 30.0, 30.0)
    for each in (tracker, fresh):
        each.init(*frames[2], other)
    assert tracker.track(*frames[3]) == fresh.track(*frames[3])


def judging(calibration: Calibration, sizes: list[float]) -> SDSTrack:
    """A network that finds the target in the middle, its side that share of the crop's; one size per call."""
    model, turns = small_model(calibration), iter(sizes)

    def answer(_module, _images, out):
        score = torch.zeros_like(out.score_map)
        score[..., score.shape[2] // 2, score.shape[3] // 2] = 1.0
        return out._replace(
            score_map=score,
            size_map=torch.full_like(out.size_map, next(turns)),
            offset_map=torch.zeros_like(out.offset_map),
        )

    model.register_forward_hook(answer)
    return model


@pytest.mark.parametrize('streams', [(0, 1), (0,), (1,)])
def test_what_the_network_makes_of_the_known_size_corrects_it(frames, streams):
    """It takes a square of a quarter of the crop for .4 of it; so a later .48 is a fifth more."""
    square = Box(100.0, 80.0, 32.0, 32.0)
    tracker = Tracker(judging(SURE, [0.48, 0.4]), 'depth', 'skip')
    tracker.init(*frames[0], square)
    box = tracker.track(*(image if i in streams else None for i, image in enumerate(frames[1]))).box
    assert box[2:] == pytest.approx((1.2 * 32, 1.2 * 32))


def test_a_judgement_of_something_else_corrects_nothing(frames):
    model = judging(SURE, [0.25, 0.4])
    tracker = Tracker(model, 'depth', 'skip')
    tracker.init(*frames[0], Box(100.0, 80.0, 32.0, 32.0))
    calls = count_calls(model)

    def elsewhere(_module, _images, out):
        if len(calls) == 2:
            return out._replace(score_map=out.score_map.roll((2, 2), (2, 3)))
        return None

    model.register_forward_hook(elsewhere)
    assert tracker.track(*frames[1]).box[2:] == pytest.approx((32, 32))


def test_the_known_size_is_judged_once_for_each_set_of_streams(frames):
    model = small_model(SURE)
    tracker = Tracker(model, 'depth', 'skip')
    tracker.init(*frames[0], BOX)
    calls = count_calls(model)
    for count, (rgb, x) in (
        (2, frames[1]),
        (3, frames[2]),
        (5, (frames[3][0], None)),
        (6, (frames[4][0], None)),
    ):
        tracker.track(rgb, x)
        assert len(calls) == count
    tracker.init(*frames[0], BOX)
    tracker.track(*frames[1])
    assert len(calls) == 8, 'a new target is judged anew'


def test_the_size_follows_the_network_at_the_calibrated_rate(frames):
    """Half way on a logarithmic scale at rate 0.5, not at all at 0; the place is the network's either way."""
    boxes = {}
    for rate in (0.0, 0.5, 1.0):
        tracker = Tracker(judging(dataclasses.replace(SURE, size_rate=rate), [0.36, 0.25]), 'depth')
        tracker.init(*frames[0], Box(100.0, 80.0, 32.0, 32.0))
        boxes[rate] = tracker.track(*frames[1]).box
    assert [boxes[rate].w for rate in (0.0, 0.5, 1.0)] == pytest.approx([32, 1.2 * 32, 1.44 * 32])
    assert boxes[0.0].center == pytest.approx(boxes[1.0].center)


@pytest.mark.parametrize('missing', MISSING)
def test_a_buffer_that_the_next_frame_is_written_to_changes_nothing(frames, missing):
    """As cameras hand them out. The last frame lacks a stream, for which the first is judged anew."""
    results = []
    for reuse in (False, True):
        tracker = Tracker(small_model(SURE), 'depth', missing)
        buffers = [np.empty_like(image) for image in frames[0]]
        for index, pair in enumerate(frames[:4]):
            given = buffers if reuse else [image.copy() for image in pair]
            for buffer, image in zip(given, pair, strict=True):
                buffer[:] = image
            if index == 0:
                tracker.init(*given, BOX)
            else:
                results.append((reuse, tracker.track(given[0], given[1] if index < 3 else None)))
    half = len(results) // 2
    assert [each for _, each in results[:half]] == [each for _, each in results[half:]]


def test_a_small_target_keeps_a_small_box(frames):
    small = Box(100.0, 80.0, 6.0, 6.0)
    for calibration, least in ((dataclasses.replace(SURE, size_rate=1.0), 6.0), (None, 10.0)):
        tracker = Tracker(judging(calibration, [0.05, 0.25]), 'depth')
        tracker.init(*frames[0], small)
        assert min(tracker.track(*frames[1]).box[2:]) == least
