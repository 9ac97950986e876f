"""The health of the node: a typed, latched message and the same as diagnostics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sdstrack.msg import SensorHealth, TrackerHealth

from ..sensing.health import Level, SensorReport
from ..sensing.synchronizer import StreamCounts
from ..types import Mode, SensorState, TargetState
from .statistics import OutputReport

_SECOND = 1_000_000_000
_LEVELS = {
    Level.OK: DiagnosticStatus.OK,
    Level.WARN: DiagnosticStatus.WARN,
    Level.ERROR: DiagnosticStatus.ERROR,
}


@dataclass(frozen=True)
class SensorStatus:
    """One sensor, as people are told of it."""

    name: str
    topic: str
    report: SensorReport
    counts: StreamCounts
    lost: int  # messages that the middleware lost


@dataclass(frozen=True)
class Status:
    """All that is told. sensors: RGB and X; none while the node is not active. skipped: for want of time."""

    level: Level
    message: str
    mode: Mode = Mode.BLIND
    target: TargetState = TargetState.IDLE
    sensors: tuple[SensorStatus, ...] = ()
    output: Callable[[], OutputReport] = OutputReport  # percentiles cost: only asked when told
    skipped: int = 0
    model: str = ''
    device: str = ''

    @property
    def gist(self) -> tuple[object, ...]:
        """A change of this is news: it is told at once."""
        states = tuple(each.report.state for each in self.sensors)
        return self.level, self.mode, self.target, states, self.message if not states else ''


class StatusPublishers:
    """The topics `health` and `/diagnostics`: on every change, and every `period_s`; changes are logged."""

    def __init__(self, node: Node, period_s: float = 0.5) -> None:
        self._node = node
        self._period_ns = round(period_s * _SECOND)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._health = node.create_publisher(TrackerHealth, 'health', latched)
        self._diagnostics = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._gist: tuple[object, ...] | None = None
        self._sent_ns = 0

    def publish(self, status: Status, steady_ns: int) -> None:
        """steady_ns: time for the rate, of a clock that nobody sets."""
        news = status.gist != self._gist
        if not news and steady_ns - self._sent_ns < self._period_ns:
            return
        if news:
            self._log(status)
        self._gist, self._sent_ns = status.gist, steady_ns
        output = status.output()
        health = health_message(status, output)
        health.header.stamp = self._node.get_clock().now().to_msg()
        self._health.publish(health)
        diagnostics = DiagnosticArray(status=diagnostic_statuses(status, output, self._node.get_name()))
        diagnostics.header.stamp = health.header.stamp
        self._diagnostics.publish(diagnostics)

    def _log(self, status: Status) -> None:
        logger = self._node.get_logger()
        text = f'{status.message} (target {status.target.name})' if status.sensors else status.message
        # One call each: rclpy wants the severity of a line of code to stay the same.
        if status.level is Level.ERROR:
            logger.error(text)
        elif status.level is Level.WARN:
            logger.warning(text)
        else:
            logger.info(text)


def health_message(status: Status, output: OutputReport) -> TrackerHealth:
    """Without its stamp."""
    message = TrackerHealth(
        level=int(status.level),
        mode=int(status.mode),
        target_state=int(status.target),
        message=status.message,
        output_rate=output.rate,
        latency_p50=output.latency.p50,
        latency_p95=output.latency.p95,
        inference_p50=output.inference.p50,
        inference_p95=output.inference.p95,
        model=status.model,
        device=status.device,
    )
    if status.sensors:
        message.rgb, message.x = map(_sensor_message, status.sensors)
    return message


def _sensor_message(sensor: SensorStatus) -> SensorHealth:
    counts = sensor.counts
    return SensorHealth(
        name=sensor.name,
        topic=sensor.topic,
        state=int(sensor.report.state),
        rate=sensor.report.rate,
        age=sensor.report.age,
        received=counts.received,
        matched=counts.matched,
        alone=counts.alone,
        late=counts.late,
        dropped=counts.dropped,
        invalid=counts.invalid,
        reason=sensor.report.reason,
    )


def diagnostic_statuses(status: Status, output: OutputReport, node_name: str) -> list[DiagnosticStatus]:
    """One for the tracker and one for each sensor."""
    tracker = DiagnosticStatus(
        level=_LEVELS[status.level],
        name=f'{node_name}: tracking',
        message=status.message,
        hardware_id=status.device or 'none',
        values=_values(
            mode=status.mode.name,
            target=status.target.name,
            output_rate_hz=f'{output.rate:.2f}',
            latency_p50_s=f'{output.latency.p50:.4f}',
            latency_p95_s=f'{output.latency.p95:.4f}',
            inference_p50_s=f'{output.inference.p50:.4f}',
            inference_p95_s=f'{output.inference.p95:.4f}',
            frames_skipped=status.skipped,
            model=status.model,
        ),
    )
    return [tracker, *(_sensor_status(each, node_name) for each in status.sensors)]


def _sensor_status(sensor: SensorStatus, node_name: str) -> DiagnosticStatus:
    report, counts = sensor.report, sensor.counts
    stale = report.state is SensorState.STALE
    return DiagnosticStatus(
        level=DiagnosticStatus.STALE if stale else _LEVELS[report.level],
        name=f'{node_name}: {sensor.name}',
        message=report.reason or report.state.name,
        hardware_id=sensor.topic,
        values=_values(
            state=report.state.name,
            rate_hz=f'{report.rate:.2f}',
            age_s=f'{report.age:.3f}',
            loss_on_the_way=f'{report.loss:.3f}',
            lost_by_middleware=sensor.lost,
            received=counts.received,
            matched=counts.matched,
            alone=counts.alone,
            late=counts.late,
            dropped=counts.dropped,
            invalid=counts.invalid,
        ),
    )


def _values(**values: object) -> list[KeyValue]:
    return [KeyValue(key=key, value=str(value)) for key, value in values.items()]
