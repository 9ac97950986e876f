"""Both sensors of the node: messages in, judged and paired observations out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image as ImageMsg

from ..errors import EventDataError, ImageError, SettingError
from ..sensing import encodings
from ..sensing.appearance import registration_problem
from ..sensing.content import ContentCheck
from ..sensing.events import EventAccumulator, EventPacket
from ..sensing.health import HealthMonitor, HealthReport, SensorMonitor, SensorReport
from ..sensing.synchronizer import Stream, StreamCounts, Synchronizer
from ..types import Frame, Image, Modality, Observation, SensorState
from .conversions import stamp_of
from .inputs import Input
from .settings import NodeSettings

try:
    from event_camera_msgs.msg import EventPacket as EventPacketMsg
except ImportError:  # not installable by pip; x_transport refuses event_packet then
    EventPacketMsg = None

FRAMES_QUEUED = 2  # the newest one, and one that came while the executor was busy
PACKETS_QUEUED = 100  # event packets come many times a frame, and each one counts


def check_transport(settings: NodeSettings) -> None:
    """SettingError where the messages of a transport are not installed."""
    if settings.x_transport == 'event_packet' and EventPacketMsg is None:
        raise SettingError(
            "x_transport: 'event_packet' needs the package event_camera_msgs; install it (apt install "
            'ros-$ROS_DISTRO-event-camera-msgs) or publish rendered event images'
        )


class Sensors:
    """Subscriptions, content checks, health and synchroniser. Belongs to the executor's thread.

    on_observation: gets what the synchroniser decided, oldest first.
    """

    def __init__(
        self, node: Node, settings: NodeSettings, on_observation: Callable[[Observation], None]
    ) -> None:
        self._node = node
        self._modality = modality = Modality(settings.modality)
        self._on_observation = on_observation
        self._synchronizer = Synchronizer(settings.sync)
        packets = settings.x_transport == 'event_packet'  # they come as events do, at no steady rate
        self._health = HealthMonitor(settings.health, self._now(), x_periodic=not packets)
        self._monitors: dict[Stream, SensorMonitor] = {'rgb': self._health.rgb, 'x': self._health.x}
        self._arriving: dict[Stream, bool] = {'rgb': False, 'x': False}
        self._contents: dict[Stream, ContentCheck] = {
            'rgb': ContentCheck('rgb', settings.content),
            'x': ContentCheck(modality.value, settings.content),
        }
        self._events = EventAccumulator(settings.events) if packets else None
        self._pictures_due: deque[int] = deque(maxlen=settings.sync.queue)  # stamps of RGB frames
        self._picture_ns = 0
        self._picture_period_ns = round(settings.events.window * 1e9)  # while RGB is down and sets no pace
        self._rgb_shape: tuple[int, ...] | None = None
        self._rgb_frame_id = ''
        self._deadline = node.create_timer(1.0, self._on_deadline, autostart=False)
        self._inputs: dict[Stream, Input] = {
            'rgb': self._image_input('rgb', settings.rgb_transport),
            'x': self._image_input('x', settings.x_transport)
            if self._events is None
            else Input(node, EventPacketMsg, 'x/image_raw', self._on_events, PACKETS_QUEUED),
        }

    def topic(self, stream: Stream) -> str:
        """Where the stream comes from, after remapping."""
        return self._inputs[stream].topic

    def lost(self, stream: Stream) -> int:
        """Messages of the stream that the middleware lost on their way."""
        return self._inputs[stream].lost

    def counts(self, stream: Stream) -> StreamCounts:
        """What became of the stream's frames."""
        return self._synchronizer.counts(stream)

    def report(self) -> HealthReport:
        """How the sensors do now; call it often, it also notices their silence."""
        now_ns = self._now()
        for stream in self._inputs:
            self._update_link(stream)
        report = self._health.report(now_ns)
        self._expect('rgb', report.rgb)
        self._expect('x', report.x)
        self._drain(now_ns)
        return report

    def forget(self) -> None:
        """The clock was set, or what comes from now on is of another size: compare nothing with the past."""
        self._synchronizer.reset()
        for content in self._contents.values():
            content.reset()
        self._rgb_shape = None
        self._pictures_due.clear()
        if self._events is not None:
            self._events.reset()

    def destroy(self) -> None:
        for each in self._inputs.values():
            each.destroy()
        self._node.destroy_timer(self._deadline)

    def _now(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _image_input(self, stream: Stream, transport: str) -> Input:
        def on_message(msg: Any) -> None:
            self._on_image(stream, msg, transport == 'raw')

        topic = f'{stream}/image_raw'
        if transport == 'raw':
            return Input(self._node, ImageMsg, topic, on_message, FRAMES_QUEUED)
        base = self._node.resolve_topic_name(topic)  # where image_transport puts it, after remapping
        return Input(self._node, CompressedImage, f'{base}/{transport}', on_message, FRAMES_QUEUED)

    def _on_image(self, stream: Stream, msg: Any, raw: bool) -> None:
        stamp_ns = stamp_of(msg.header)
        try:
            frame = Frame(stamp_ns, self._read(stream, msg, raw), msg.header.frame_id)
            problem = self._contents[stream].problem(frame.image) or self._unregistered(stream, frame)
        except ImageError as error:
            problem = str(error)
        except Exception as error:  # no message ends the node, whatever OpenCV finds in it
            problem = f'cannot be read: {error!r}'
        now_ns = self._judge(stream, stamp_ns, problem)
        if stream == 'rgb' and stamp_ns > 0:
            self._picture_for(stamp_ns, now_ns)  # it answers in the place of a frame that cannot be used
        if problem is not None:
            self._synchronizer.reject(stream, stamp_ns, now_ns, problem)
        elif stream == 'rgb':
            self._synchronizer.add_rgb(frame, now_ns)
        else:
            self._synchronizer.add_x(frame, now_ns)
        self._drain(now_ns)

    def _read(self, stream: Stream, msg: Any, raw: bool) -> Image:
        if stream == 'rgb':
            return encodings.rgb_from_image(msg) if raw else encodings.rgb_from_compressed(msg)
        read = encodings.x_from_image if raw else encodings.x_from_compressed
        return read(msg, self._modality)

    def _unregistered(self, stream: Stream, frame: Frame) -> str | None:
        """Why an X frame does not lie on the RGB frame's pixels; an RGB frame says where they are."""
        if stream == 'rgb':
            self._rgb_shape, self._rgb_frame_id = frame.image.shape, frame.frame_id
            return None
        return self._off_grid(frame.image.shape, frame.frame_id)

    def _off_grid(self, shape: tuple[int, ...], frame_id: str = '') -> str | None:
        """Why X of this shape does not lie on RGB's pixels. Only depth is judged by its frame_id too."""
        if self._rgb_shape is None:
            return None
        ids = (self._rgb_frame_id, frame_id) if self._modality is Modality.DEPTH else ('', '')
        return registration_problem(self._rgb_shape, shape, *ids)

    def _on_events(self, msg: Any) -> None:
        assert self._events is not None
        packet = EventPacket.from_message(msg)
        try:
            self._events.add(packet)
            problem = self._off_grid((packet.height, packet.width))
        except EventDataError as error:
            problem = str(error)
        now_ns = self._judge('x', packet.stamp_ns, problem)
        while self._pictures_due and self._events.covers(self._pictures_due[0]):
            self._add_picture(self._pictures_due.popleft(), now_ns)
        newest_ns = self._events.newest_ns
        if newest_ns is not None and not self._arriving['rgb'] and self._picture_is_due(newest_ns):
            self._add_picture(newest_ns, now_ns)
        self._drain(now_ns)

    def _picture_for(self, stamp_ns: int, now_ns: int) -> None:
        """Order the event picture that goes with an RGB frame: at once, or when its last events are here."""
        if self._events is None:
            return
        if self._events.covers(stamp_ns):
            self._add_picture(stamp_ns, now_ns)
        else:
            self._pictures_due.append(stamp_ns)

    def _picture_is_due(self, stamp_ns: int) -> bool:
        """While no RGB frame sets the pace."""
        return abs(stamp_ns - self._picture_ns) >= self._picture_period_ns

    def _add_picture(self, stamp_ns: int, now_ns: int) -> None:
        assert self._events is not None
        picture = self._events.picture(stamp_ns)
        if picture is None:
            return
        self._picture_ns = stamp_ns
        problem = self._off_grid(picture.shape)
        if problem is not None:
            self._synchronizer.reject('x', stamp_ns, now_ns, problem)
        else:
            self._synchronizer.add_x(Frame(stamp_ns, picture, self._rgb_frame_id), now_ns)

    def _judge(self, stream: Stream, stamp_ns: int, problem: str | None) -> int:
        """Tell the stream's monitor of a message, and the synchroniser what to expect; the time now, ns."""
        now_ns = self._now()
        self._update_link(stream)
        monitor = self._monitors[stream]
        monitor.on_frame(stamp_ns, now_ns, problem)
        self._expect(stream, monitor.state(now_ns))
        return now_ns

    def _update_link(self, stream: Stream) -> None:
        link = self._inputs[stream]
        self._monitors[stream].on_link(link.publishers, link.incompatible_qos, link.lost)

    def _expect(self, stream: Stream, report: SensorReport) -> None:
        self._arriving[stream] = report.arriving
        # Cameras start together, long after the node: the first RGB frame waits for X, which the synchroniser
        # soon gives up where X stays away.
        may_start = stream == 'x' and report.state is SensorState.NOT_RECEIVED
        self._synchronizer.set_alive(stream, report.arriving or may_start, report.reason)

    def _on_deadline(self) -> None:
        self._drain(self._now())

    def _drain(self, now_ns: int) -> None:
        """Hand on what is decided, and come back when the next frame has waited long enough."""
        for observation in self._synchronizer.poll(now_ns):
            self._health.on_observation(observation)
            self._on_observation(observation)
        deadline_ns = self._synchronizer.next_deadline_ns
        if deadline_ns is None:
            self._deadline.cancel()
        else:
            self._deadline.timer_period_ns = max(1, deadline_ns - now_ns)
            self._deadline.reset()
