"""The node over real DDS: what goes in, what comes out."""

from __future__ import annotations

import array
import itertools
import struct
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sdstrack.msg import SensorHealth, TrackedBox, TrackerHealth
from sdstrack.srv import SetTarget
from sensor_msgs.msg import CameraInfo, CompressedImage
from sensor_msgs.msg import Image as ImageMsg
from std_srvs.srv import Trigger

from sdstrack_ros.model import SDSTrack
from sdstrack_ros.node import answers, sensors
from sdstrack_ros.tracking.session import Estimate
from sdstrack_ros.types import Box, Mode, TargetState

BOX = (60.0, 40.0, 30.0, 24.0)


def request(box=BOX, stamp_ns: int = 0) -> SetTarget.Request:
    x, y, w, h = box
    made = SetTarget.Request(center_x=x + w / 2, center_y=y + h / 2, size_x=w, size_y=h)
    made.header.stamp.sec, made.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
    return made


def set_target(t, box=BOX, stamp_ns: int = 0) -> SetTarget.Response:
    return t.call(SetTarget, 'tracker/set_target', request(box, stamp_ns))


def test_every_frame_is_answered_also_without_a_target_under_the_header_of_rgb(tester) -> None:
    t = tester().start()
    sent = []
    for _ in range(10):
        box = t.exchange()
        sent.append(t.stamp_ns)
        assert (box.state, box.target_id, box.size_x) == (TrackedBox.IDLE, 0, 0.0)
        assert box.header.frame_id == 'camera'
    assert [t.stamp_of(box) for box in t.boxes] == sent
    assert t.boxes[-1].mode == TrackedBox.FUSED


def test_a_target_set_by_service_gets_an_id_and_a_box(tester) -> None:
    t = tester().start()
    t.exchange()
    answer = set_target(t)
    assert (answer.accepted, answer.target_id) == (True, 1)
    box = t.exchange()
    assert box.target_id == 1
    assert box.state != TrackedBox.IDLE
    assert box.size_x > 0
    assert set_target(t).target_id == 2
    assert t.exchange().target_id == 2


@pytest.mark.parametrize(
    ('box', 'words'),
    [((10.0, 10.0, 0.0, 5.0), 'size'), ((500.0, 10.0, 20.0, 20.0), 'outside'), ((np.nan, 1, 9, 9), 'finite')],
)
def test_a_bad_box_is_refused_with_the_reason_and_the_old_target_stays(tester, box, words: str) -> None:
    t = tester().start()
    t.exchange()
    set_target(t)
    answer = set_target(t, box)
    assert (answer.accepted, answer.target_id) == (False, 0)
    assert words in answer.message
    assert t.exchange().target_id == 1


def test_a_target_by_topic_refers_to_a_past_frame_and_catches_up(tester) -> None:
    t = tester().start()
    stamps = [t.exchange() and t.stamp_ns for _ in range(8)]
    started = []
    inference = t.tracker._pipeline._inference
    make = inference._make_session

    def spied():
        session = make()
        start, step = session.start, session.step
        session.start = lambda o, box: started.append(o.lead.stamp_ns) or start(o, box)
        session.step = lambda o, now: started.append(o.lead.stamp_ns) or step(o, now)
        return session

    inference._make_session = spied
    publisher = t.node.create_publisher(TrackedBox, 'target', 10)
    t.wait_for(publisher.get_subscription_count, 'the topic target')
    wanted = TrackedBox(center_x=75.0, center_y=52.0, size_x=30.0, size_y=24.0)
    wanted.header.stamp.sec, wanted.header.stamp.nanosec = divmod(stamps[3], 1_000_000_000)
    publisher.publish(wanted)
    t.wait_for(lambda: started, 'the start')
    assert t.exchange().target_id == 1
    assert started == [*stamps[3:], t.stamp_ns]


def test_a_box_for_a_frame_that_is_gone_is_refused(tester) -> None:
    t = tester(history=0.1).start()
    first = t.exchange() and t.stamp_ns
    t.stream_until(lambda: t.stamp_ns - first > 300_000_000, 'time to pass')
    answer = set_target(t, stamp_ns=first)
    assert not answer.accepted
    assert 'history' in answer.message


def test_a_first_box_by_parameter_waits_for_the_first_frame(tester) -> None:
    t = tester(init_box='60, 40, 30, 24').start()
    assert t.exchange().target_id == 1


def test_cameras_that_start_long_after_the_node_are_paired_from_the_first_frame_on(tester) -> None:
    t = tester(init_box='60,40,30,24').start()
    t.spin(0.8)  # X is not expected any more
    assert t.exchange().mode == TrackedBox.FUSED


def test_reset_drops_the_target_and_ids_go_on(tester) -> None:
    t = tester(init_box='60,40,30,24').start()
    t.exchange()
    assert t.call(Trigger, 'tracker/reset', Trigger.Request()).success
    box = t.exchange()
    assert (box.state, box.target_id, box.size_x) == (TrackedBox.IDLE, 0, 0.0)
    assert set_target(t).target_id == 2


def test_rgb_alone_when_x_stops_and_full_fusion_again_after_its_return(tester) -> None:
    t = tester(init_box='60,40,30,24', health__x__timeout=0.2).start()
    t.stream_until(lambda: t.boxes and t.boxes[-1].mode == TrackedBox.FUSED, 'fusion')
    t.stream_until(lambda: t.health.x.state == SensorHealth.STALE, 'the news of the loss', x=None)
    assert (t.health.mode, t.health.level) == (TrackedBox.RGB_ONLY, TrackerHealth.WARN)
    assert 'x STALE' in t.health.message
    box = t.exchange(x=None)
    assert (box.mode, box.header.frame_id) == (TrackedBox.RGB_ONLY, 'camera')
    modes = [t.exchange().mode for _ in range(3)]
    assert TrackedBox.FUSED in modes
    t.stream_until(lambda: t.health.mode == TrackedBox.FUSED, 'the news of the return')


def test_a_dead_sensor_that_is_known_costs_no_waiting(tester) -> None:
    t = tester(sync__sync_timeout=1.0, health__x__timeout=0.2).start()
    t.exchange()
    t.stream_until(lambda: t.health.x.state == SensorHealth.STALE, 'the news of the loss', x=None)
    sent_ns = t.now_ns()
    t.exchange(x=None)
    assert t.now_ns() - sent_ns < 500_000_000  # half of sync_timeout, which a waiting frame would take


def test_x_alone_under_its_own_header_when_rgb_stops(tester) -> None:
    t = tester(init_box='60,40,30,24').start()
    t.stream_until(lambda: t.boxes and t.boxes[-1].mode == TrackedBox.FUSED, 'fusion')
    t.stream_until(lambda: t.health.rgb.state == SensorHealth.STALE, 'the news of the loss', rgb=None)
    assert (t.health.mode, t.health.level) == (TrackedBox.X_ONLY, TrackerHealth.ERROR)
    assert t.exchange(rgb=None).mode == TrackedBox.X_ONLY
    t.stream_until(lambda: t.health.mode == TrackedBox.FUSED, 'the news of the return')


def test_blind_holds_the_box_marks_it_and_withdraws_it(tester) -> None:
    t = tester(init_box='60,40,30,24', health__x__timeout=0.2, target__hold_timeout=0.5).start()
    t.stream_until(lambda: t.health.mode == TrackedBox.FUSED, 'fusion')
    last = t.stamp_ns
    t.wait_for(lambda: t.health.mode == TrackedBox.BLIND, 'the news')
    assert t.health.level == TrackerHealth.ERROR
    t.wait_for(lambda: t.boxes[-1].mode == TrackedBox.BLIND, 'a held box')
    t.wait_for(lambda: t.boxes[-1].size_x == 0, 'its withdrawal')
    held = [box for box in t.boxes if box.mode == TrackedBox.BLIND and box.size_x > 0]
    assert all(box.held and box.state != TrackedBox.TRACKING for box in held)
    assert t.boxes[-1].state == TrackedBox.LOST
    assert t.stamp_of(t.boxes[-1]) == last
    told = len(t.boxes)
    t.spin(0.3)
    assert len(t.boxes) == told


def test_what_cannot_be_used_is_counted_named_and_survived(tester) -> None:
    t = tester(health__x__timeout=5.0).start()
    t.exchange()
    truncated = ImageMsg(height=120, width=160, encoding='16UC1', step=320, data=bytes(100))
    wrong = ImageMsg(height=120, width=160, encoding='yuv_nonsense', step=320, data=bytes(120 * 320))
    for bad in (truncated, wrong, ImageMsg()):
        t.push(x=None)
        bad.header.stamp.sec, bad.header.stamp.nanosec = divmod(t.stamp_ns, 1_000_000_000)
        t.x.publish(bad)
        t.rgb.publish(bad)
        assert t.answer_to(t.stamp_ns).mode == TrackedBox.RGB_ONLY
    colour = {'x': t.rgb_image(), 'x_encoding': 'rgb8'}
    t.stream_until(lambda: t.health.x.state == SensorHealth.INVALID, 'X to be INVALID', **colour)
    assert t.health.x.invalid >= 3
    assert 'rgb8' in t.health.x.reason
    t.stream_until(lambda: t.health.x.state == SensorHealth.OK, 'X to be OK')


def test_black_rgb_makes_x_lead_and_names_the_reason(tester) -> None:
    t = tester(init_box='60,40,30,24').start()
    t.stream_until(lambda: t.boxes and t.boxes[-1].mode == TrackedBox.FUSED, 'fusion')
    black = np.zeros((120, 160, 3), np.uint8)
    assert t.exchange(rgb=black).mode == TrackedBox.X_ONLY
    t.stream_until(lambda: t.health.rgb.reason == 'black', 'the reason', rgb=black)
    assert t.health.mode == TrackedBox.X_ONLY


def test_depth_that_is_not_registered_is_refused_with_the_reason(tester) -> None:
    t = tester().start()
    small = np.full((60, 80), 1000, np.uint16)
    t.stream_until(lambda: t.healths and 'not registered' in t.health.x.reason, 'the reason', x=small)
    assert t.exchange(x=small).mode == TrackedBox.RGB_ONLY


def test_the_position_is_that_of_the_box_in_depth(tester) -> None:
    t = tester(init_box='60,40,30,24').start()
    info = CameraInfo(width=160, height=120, k=[100.0, 0, 80.0, 0, 100.0, 60.0, 0, 0, 1.0])
    publisher = t.node.create_publisher(CameraInfo, 'rgb/camera_info', 10)
    t.wait_for(publisher.get_subscription_count, 'camera_info')
    publisher.publish(info)
    t.stream_until(lambda: t.boxes and t.boxes[-1].has_position, 'a position')
    box = t.boxes[-1]
    assert box.position.z == pytest.approx(1.0, abs=0.1)
    assert box.position.x == pytest.approx((box.center_x - 80) / 100 * box.position.z, abs=1e-4)


def test_running_out_of_memory_is_reported_and_survived(tester, monkeypatch) -> None:
    t = tester(init_box='60,40,30,24').start()
    t.exchange()

    def exhausted(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError('CUDA out of memory')

    with monkeypatch.context() as patched:
        patched.setattr(SDSTrack, 'forward', exhausted)
        box = t.exchange()
        assert (box.state, box.size_x) == (TrackedBox.LOST, 0.0)
        t.wait_for(lambda: 'out of memory' in t.health.message, 'the news')
        assert t.health.level == TrackerHealth.ERROR
    assert t.exchange().size_x > 0
    t.wait_for(lambda: 'out of memory' not in t.health.message, 'better news')


def test_a_qos_that_does_not_match_is_told_apart_from_a_dead_sensor(tester) -> None:
    t = tester(**{'qos_overrides./sdstrack/x/image_raw.subscription.reliability': 'reliable'})
    t.start()
    t.stream_until(lambda: t.healths and t.health.mode == TrackedBox.FUSED, 'fusion')
    t.node.destroy_publisher(t.x)
    t.x = t.node.create_publisher(
        ImageMsg, 'x/image_raw', QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    t.stream_until(lambda: 'RELIABILITY' in t.health.x.reason, 'the reason')


def test_debug_image_only_while_someone_listens(tester, monkeypatch) -> None:
    drawn = []
    draw = answers.draw
    monkeypatch.setattr(answers, 'draw', lambda *args: drawn.append(1) or draw(*args))
    t = tester(init_box='60,40,30,24').start()
    t.exchange()
    assert not drawn
    pictures: list[ImageMsg] = []
    t.node.create_subscription(ImageMsg, 'debug_image', pictures.append, 10)
    t.stream_until(lambda: pictures, 'a picture')
    assert (pictures[0].encoding, pictures[0].height, pictures[0].width) == ('rgb8', 120, 160)
    assert pictures[0].header.frame_id == 'camera'


def test_diagnostics_name_the_node_its_tasks_and_the_hardware(tester) -> None:
    t = tester().start()
    t.stream_until(lambda: t.diagnostics and len(t.diagnostics[-1].status) == 3, 'diagnostics')
    found = {status.name: status for status in t.diagnostics[-1].status}
    assert set(found) == {'tracker: tracking', 'tracker: rgb', 'tracker: depth'}
    assert found['tracker: tracking'].hardware_id == 'cpu'
    assert found['tracker: rgb'].hardware_id == '/sdstrack/rgb/image_raw'
    assert t.diagnostics[-1].header.stamp.sec > 0


def test_health_reports_rate_and_latency_and_is_latched(tester) -> None:
    t = tester().start()
    t.stream_until(lambda: t.healths and t.health.output_rate > 5 and t.health.rgb.matched > 10, 'a rate')
    assert 0 < t.health.latency_p50 <= t.health.latency_p95 < 5
    assert 0 < t.health.inference_p50 <= t.health.inference_p95 < t.health.latency_p95
    assert (t.health.model, t.health.device) == ('tiny.safetensors', 'cpu')
    late: list[TrackerHealth] = []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    t.node.create_subscription(TrackerHealth, 'health', late.append, latched)
    t.wait_for(lambda: late, 'the latched health')


def test_a_bag_that_starts_over_is_tracked_again_at_once(tester) -> None:
    t = tester(init_box='60,40,30,24').start()
    for _ in range(3):
        t.exchange()
    started_over = t.stamp_ns - 3_600_000_000_000
    t.now_ns = lambda: started_over
    t.stamp_ns = started_over
    boxes = [t.exchange() for _ in range(3)]
    assert [box.target_id for box in boxes] == [1, 1, 1]
    assert boxes[-1].mode == TrackedBox.FUSED


def test_compressed_images_of_both_sensors(tester) -> None:
    t = tester(rgb_transport='compressed', x_transport='compressedDepth')
    t.rgb = t.node.create_publisher(CompressedImage, 'rgb/image_raw/compressed', 10)
    t.x = t.node.create_publisher(CompressedImage, 'x/image_raw/compressedDepth', 10)
    t.start()
    header = t.header()
    rgb = cv2.imencode('.jpg', t.rgb_image())[1].tobytes()
    depth = struct.pack('<iff', 0, 0, 0) + cv2.imencode('.png', t.depth_image())[1].tobytes()
    t.rgb.publish(CompressedImage(header=header, format='jpeg', data=array.array('B', rgb)))
    t.x.publish(
        CompressedImage(header=header, format='16UC1; compressedDepth png', data=array.array('B', depth))
    )
    assert t.answer_to(t.stamp_ns).mode == TrackedBox.FUSED


def evt3_packet(stamp_ns: int, seq: int) -> SimpleNamespace:
    """Ten events in one row, at a camera time that follows the stamp, and the time 5 ms later."""
    time_us = (stamp_ns // 1000) % (1 << 24)
    words = [0x8000 | time_us >> 12, 0x6000 | time_us & 0xFFF, 0x0000 | 50]
    words += [0x2000 | 0x800 | column for column in range(60, 70)]
    later_us = time_us + 5000
    words += [0x8000 | later_us >> 12 & 0xFFF, 0x6000 | later_us & 0xFFF]
    sec, nanosec = divmod(stamp_ns, 1_000_000_000)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec), frame_id='camera'),
        seq=seq,
        width=160,
        height=120,
        encoding='evt3',
        events=np.array(words, '<u2').tobytes(),
        time_base=0,
        is_bigendian=False,
    )


def test_event_packets_become_one_picture_for_every_rgb_frame(tester, monkeypatch) -> None:
    monkeypatch.setattr(sensors, 'EventPacketMsg', ImageMsg)  # stands in: event_camera_msgs is not installed
    t = tester(modality='event', x_transport='event_packet').start()
    inputs = t.tracker._pipeline._sensors
    seen = []
    submit = inputs._on_observation
    inputs._on_observation = lambda observation: seen.append(observation) or submit(observation)
    for seq in range(5):
        stamp_ns = t.push(x=None)
        inputs._on_events(evt3_packet(stamp_ns - 3_000_000, seq))
        assert t.answer_to(stamp_ns).mode == TrackedBox.FUSED
    assert seen[-1].x.stamp_ns == seen[-1].rgb.stamp_ns
    assert tuple(seen[-1].x.image[50, 65]) == (0, 0, 255)
    assert tuple(seen[-1].x.image[10, 10]) == (255, 255, 255)


def test_event_packets_alone_lead_while_rgb_is_down(tester, monkeypatch) -> None:
    monkeypatch.setattr(sensors, 'EventPacketMsg', ImageMsg)
    t = tester(modality='event', x_transport='event_packet').start()
    inputs = t.tracker._pipeline._sensors
    sequence = itertools.count()

    def answered() -> bool:
        inputs._on_events(evt3_packet(t.now_ns(), next(sequence)))
        return bool(t.boxes)

    t.wait_for(answered, 'an answer')
    assert t.boxes[-1].mode == TrackedBox.X_ONLY


def test_event_packets_answer_for_rgb_frames_that_cannot_be_used(tester, monkeypatch) -> None:
    monkeypatch.setattr(sensors, 'EventPacketMsg', ImageMsg)
    t = tester(modality='event', x_transport='event_packet').start()
    inputs = t.tracker._pipeline._sensors
    for seq in range(6):
        stamp_ns = t.push(rgb='noise' if seq < 3 else np.zeros((120, 160, 3), np.uint8), x=None)
        inputs._on_events(evt3_packet(stamp_ns - 3_000_000, seq))
        mode = t.answer_to(stamp_ns).mode
    assert mode == TrackedBox.X_ONLY


def test_event_packets_of_another_size_than_rgb_are_not_used(tester, monkeypatch) -> None:
    monkeypatch.setattr(sensors, 'EventPacketMsg', ImageMsg)
    t = tester(modality='event', x_transport='event_packet').start()
    inputs = t.tracker._pipeline._sensors
    for seq in range(6):
        stamp_ns = t.push(x=None)
        packet = evt3_packet(stamp_ns - 3_000_000, seq)
        packet.width = 200
        inputs._on_events(packet)
        mode = t.answer_to(stamp_ns).mode
    assert mode == TrackedBox.RGB_ONLY
    t.wait_for(lambda: t.health.x.state == SensorHealth.INVALID, 'the verdict')
    assert 'X is 200x120, RGB is 160x120' in t.health.x.reason


def test_a_picture_that_opencv_refuses_is_counted_and_survived(tester) -> None:
    t = tester().start()
    t.exchange()
    odd = np.zeros((3, 5, 2), np.uint8)
    assert t.exchange(rgb=odd, rgb_encoding='yuv422').mode == TrackedBox.X_ONLY
    assert t.exchange().mode == TrackedBox.FUSED


def test_simulated_time_that_starts_over_and_one_that_never_comes(tester) -> None:
    t = tester(use_sim_time=True, init_box='60,40,30,24').start()
    t.wait_for(lambda: '/clock' in t.health.message, 'the news that there is no clock')
    clock = t.node.create_publisher(Clock, '/clock', 10)
    sim_ns = 0

    def tick(now_ns: int) -> None:
        nonlocal sim_ns
        t.stamp_ns = sim_ns = now_ns
        t.now_ns = lambda: sim_ns
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(now_ns, 1_000_000_000)
        clock.publish(message)
        t.wait_for(lambda: t.tracker.get_clock().now().nanoseconds == now_ns, 'the time')

    for start_s in (1000, 10):  # the second time is that of a bag that loops
        for i in range(4):
            tick(start_s * 1_000_000_000 + i * 33_000_000)
            box = t.exchange()
            assert (box.mode, box.target_id) == (TrackedBox.FUSED, 1)
        t.wait_for(lambda now=start_s: t.health.header.stamp.sec == now, 'the health of that time')
        assert t.health.rgb.state == SensorHealth.OK


class Loose(SimpleNamespace):
    """A message type of a package that is not installed: every field is there."""

    def __init__(self, **fields: object) -> None:
        super().__init__(**{'results': [], 'detections': [], **fields})

    def __getattr__(self, name: str) -> Loose:
        setattr(self, name, Loose())
        return self.__dict__[name]


def test_detections_say_what_the_box_says_and_are_empty_when_it_is_lost(monkeypatch) -> None:
    for name in ('Detection2D', 'Detection2DArray', 'ObjectHypothesisWithPose'):
        monkeypatch.setattr(answers, name, Loose, raising=False)
    seen = Estimate(7, TargetState.TRACKING, False, Box(10, 20, 30, 40), 0.75, Mode.FUSED, (1.0, 2.0, 3.0))
    (detection,) = answers.detections_message('header', seen).detections
    assert (detection.header, detection.id) == ('header', '7')
    assert (detection.bbox.center.position.x, detection.bbox.center.position.y) == (25, 40)
    assert (detection.bbox.size_x, detection.bbox.size_y) == (30, 40)
    assert detection.results[0].hypothesis.score == 0.75
    assert detection.results[0].pose.pose.position.z == 3.0
    lost = replace(seen, state=TargetState.LOST)
    assert answers.detections_message('header', lost).detections == []
