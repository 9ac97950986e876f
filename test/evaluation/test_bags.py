"""Bags as sequences: topics found, streams paired, truth from everywhere, damage reported."""

import dataclasses

import numpy as np
import pytest

from sdstrack_ros.errors import DatasetError
from sdstrack_ros.evaluation.bag_topics import TopicChoice
from sdstrack_ros.evaluation.bag_types import bag_types
from sdstrack_ros.evaluation.bag_writer import BagTopics, BagWriter
from sdstrack_ros.evaluation.bags import open_bag
from sdstrack_ros.evaluation.truth import truth_path, write_truth
from sdstrack_ros.sensing.events import EVENT_PACKET_TYPE
from sdstrack_ros.types import Box, Modality, Mode

RNG = np.random.default_rng(5)
RGBS = RNG.integers(0, 255, (10, 24, 32, 3), dtype=np.uint8)
DEPTHS = RNG.integers(500, 5000, (10, 24, 32), dtype=np.uint16)
START, PERIOD = 7_000_000_000, 40_000_000
BOX = Box(4, 5, 10, 8)


def stamp(i):
    return START + i * PERIOD


def write(folder, *, modality=Modality.DEPTH, x=DEPTHS, without_x=(), truth=range(10), topics=None):
    with BagWriter(folder, modality, topics=topics) as bag:
        for i in range(10):
            bag.write_rgb(stamp(i), RGBS[i])
            if i not in without_x:
                bag.write_x(stamp(i) + 3_000_000, x[i])
            if i in truth:
                bag.write_truth(stamp(i), BOX if i != 6 else None)
    return folder


def test_streams_are_paired_and_truth_is_found(tmp_path):
    sequence = open_bag(write(tmp_path / 'bag'), Modality.DEPTH)
    frames = list(sequence.frames)
    assert [f.lead.stamp_ns for f in frames] == [stamp(i) for i in range(10)] == sequence.stamps_ns.tolist()
    assert {f.mode for f in frames} == {Mode.FUSED}
    np.testing.assert_array_equal(frames[4].rgb.image, RGBS[4])
    np.testing.assert_array_equal(frames[4].x.image, DEPTHS[4])
    assert sequence.truth.boxes[0].tolist() == [4, 5, 10, 8]
    assert np.isnan(sequence.truth.boxes[6]).all()
    assert sequence.name == 'bag'
    assert sequence.notes == ()


def test_a_second_pass_gives_the_same(tmp_path):
    sequence = open_bag(write(tmp_path / 'bag', without_x=(2, 3)), Modality.DEPTH)
    passes = [[(f.lead.stamp_ns, f.mode, f.reason) for f in sequence.frames] for _ in range(2)]
    assert passes[0] == passes[1]
    assert [mode for _, mode, _ in passes[0]].count(Mode.RGB_ONLY) == 2


def test_unusable_depth_goes_without_its_partner(tmp_path):
    depth = DEPTHS.copy()
    depth[5] = 0
    frames = list(open_bag(write(tmp_path / 'bag', x=depth), Modality.DEPTH).frames)
    assert frames[5].mode is Mode.RGB_ONLY
    assert 'all zero' in frames[5].reason


def test_depth_of_another_size_is_not_used(tmp_path):
    frames = list(open_bag(write(tmp_path / 'bag', x=DEPTHS[:, :12, :16]), Modality.DEPTH).frames)
    assert {f.mode for f in frames} == {Mode.RGB_ONLY}
    assert 'X is 16x12, RGB is 32x24' in frames[3].reason


def test_rgb_alone_needs_no_x(tmp_path):
    frames = list(open_bag(write(tmp_path / 'bag', without_x=range(10)), None).frames)
    assert [f.mode for f in frames] == [Mode.RGB_ONLY] * 10


@pytest.mark.parametrize('modality', [Modality.DEPTH, Modality.THERMAL])
def test_a_missing_topic_is_an_error_that_lists_what_the_bag_has(tmp_path, modality):
    with pytest.raises(
        DatasetError, match=f'no {modality.value} topic found; name it with --x-topic'
    ) as caught:
        open_bag(write(tmp_path / 'bag', without_x=range(10)), modality)
    assert 'name it with --x-topic' in str(caught.value)
    assert '/camera/rgb/image_raw  [sensor_msgs/msg/Image]  10 messages' in str(caught.value)
    with pytest.raises(DatasetError, match='no topic /nowhere; the bag has'):
        open_bag(tmp_path / 'bag', modality, topics=TopicChoice('/nowhere', '', ''))


def test_two_topics_that_would_do_are_not_guessed_between(tmp_path):
    topics = dataclasses.replace(BagTopics.for_modality(Modality.DEPTH), x='/left/image', rgb='/right/image')
    folder = write(tmp_path / 'bag', x=RGBS, topics=topics)
    with pytest.raises(DatasetError, match=r'more than one RGB topic .*--rgb-topic'):
        open_bag(folder, None)
    assert (
        open_bag(folder, None, topics=TopicChoice('/left/image', '', '')).frames.topics.rgb == '/left/image'
    )


def test_depth_is_known_by_its_encoding_whatever_its_name(tmp_path):
    topics = dataclasses.replace(BagTopics.for_modality(Modality.DEPTH), x='/front/aligned_to_color')
    sequence = open_bag(write(tmp_path / 'bag', topics=topics), Modality.DEPTH)
    assert sequence.frames.topics.x == '/front/aligned_to_color'


def test_recorded_boxes_of_the_tracker_are_not_taken_for_truth(tmp_path):
    topics = dataclasses.replace(BagTopics.for_modality(Modality.DEPTH), truth='/sdstrack/bbox')
    folder = write(tmp_path / 'bag', topics=topics)
    with pytest.raises(DatasetError, match='no true boxes: name their topic with --truth-topic'):
        open_bag(folder, Modality.DEPTH)
    named = open_bag(folder, Modality.DEPTH, topics=TopicChoice('', '', '/sdstrack/bbox'))
    assert len(named.truth.stamps_ns) == 10


def test_truth_from_a_file_beside_the_bag_knows_one_frame_only(tmp_path):
    folder = write(tmp_path / 'bag', truth=())
    write_truth(truth_path(folder), stamp(2), BOX)
    sequence = open_bag(folder, Modality.DEPTH)
    assert sequence.truth.row_at(stamp(2), sequence.tolerance_ns) == 0
    assert sequence.truth.row_at(stamp(4), sequence.tolerance_ns) is None


def test_the_file_beside_the_bag_goes_before_a_topic_that_nobody_named(tmp_path):
    folder = write(tmp_path / 'bag')
    write_truth(truth_path(folder), stamp(2), BOX)
    sequence = open_bag(folder, Modality.DEPTH)
    assert sequence.truth.stamps_ns.tolist() == [stamp(2)]
    (note,) = sequence.notes
    assert str(truth_path(folder)) in note
    assert '--truth-topic /truth/bbox' in note
    named = open_bag(folder, Modality.DEPTH, topics=TopicChoice('', '', '/truth/bbox'))
    assert len(named.truth.stamps_ns) == 10
    assert named.notes == ()


def test_truth_by_frame_must_have_a_row_for_each(tmp_path):
    folder = write(tmp_path / 'bag', truth=())
    rows = tmp_path / 'boxes.txt'
    rows.write_text('4,5,10,8\n' * 10)
    assert len(open_bag(folder, Modality.DEPTH, truth=rows).truth.boxes) == 10
    rows.write_text('4,5,10,8\n' * 9)
    with pytest.raises(DatasetError, match='9 rows for 10 RGB frames'):
        open_bag(folder, Modality.DEPTH, truth=rows)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('x,y\n', 'the first line must be stamp_ns,x,y,w,h'),
        ('stamp_ns,x,y,w,h\n1,2,3\n', 'line 2'),
        ('stamp_ns,x,y,w,h\n1,2,3,0,4\n', 'has no area'),
        ('stamp_ns,x,y,w,h\n1,2,3,4,5\n1,2,3,4,6\n', 'two different boxes at 1 ns'),
        ('stamp_ns,x,y,w,h\n', 'holds no boxes'),
    ],
)
def test_a_bad_truth_file_is_an_error_that_names_it(tmp_path, text, message):
    path = tmp_path / 'bag.truth.csv'
    path.write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        open_bag(write(tmp_path / 'bag', truth=()), Modality.DEPTH)
    assert str(path) in str(caught.value)


def test_a_truncated_bag_is_read_as_far_as_it_goes_and_says_so(tmp_path):
    folder = write(tmp_path / 'bag')
    file = next(folder.glob('*.mcap'))
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * 0.6)])
    sequence = open_bag(folder, Modality.DEPTH)
    assert 3 <= len(list(sequence.frames)) < 10
    assert 'breaks off' in sequence.notes[0]


def test_event_packets_become_one_picture_per_rgb_frame(tmp_path):
    types = bag_types()
    topics = BagTopics.for_modality(Modality.EVENT)
    with BagWriter(tmp_path / 'bag', Modality.EVENT) as bag:
        for i in range(10):
            bag.write_rgb(stamp(i), RGBS[i])
            bag.write_truth(stamp(i), BOX)
            # evt3: time high, time low, row 5, one ON event at x = 7; the camera's clock runs along
            micros = (stamp(i) - START) // 1000 + 1000
            words = [0x8000 | (micros >> 12) & 0xFFF, 0x6000 | micros & 0xFFF, 0x0005, 0x2807]
            bag._write(
                '/event_camera/events',
                EVENT_PACKET_TYPE,
                stamp(i) + 1_000_000,
                types.types[EVENT_PACKET_TYPE](
                    header=bag._header(stamp(i) + 1_000_000),
                    height=24,
                    width=32,
                    seq=i,
                    time_base=0,
                    encoding='evt3',
                    is_bigendian=False,
                    events=np.array(words, '<u2').view(np.uint8),
                ),
            )
    assert topics.x != '/event_camera/events'  # found by its type
    frames = list(open_bag(tmp_path / 'bag', Modality.EVENT).frames)
    assert len(frames) == 10
    assert sum(f.mode is Mode.FUSED for f in frames) >= 8
    assert frames[-1].x.image[5, 7].tolist() == [0, 0, 255]
