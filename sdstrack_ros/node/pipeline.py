"""The active node: sensors -> inference -> answers, and how all of it does."""

from __future__ import annotations

from rclpy.node import Node

from ..sensing.health import Level, SensorReport
from ..sensing.synchronizer import Stream
from ..tracking import Tracker
from ..tracking.session import Estimate, TargetSession
from ..types import Modality, Mode, Observation, TargetState
from .answers import AnswerPublishers
from .camera import CameraInput
from .history import History
from .inference import Inference
from .loading import LoadedModel
from .report import SensorStatus, Status
from .sensors import Sensors
from .settings import NodeSettings
from .statistics import OutputStatistics
from .targets import TargetInputs

REPEATED_LOG_S = 5.0
_TARGET_LEVELS = {TargetState.UNCERTAIN: Level.WARN, TargetState.LOST: Level.ERROR}


class Pipeline:
    """Everything that exists only while the node is active; `close` ends it."""

    def __init__(self, node: Node, settings: NodeSettings, model: LoadedModel) -> None:
        self._node = node
        self._settings = settings
        self._model = model
        self._output = OutputStatistics()
        self._camera = CameraInput(node)
        self._answers = AnswerPublishers(node)
        self._inference = Inference(
            self._session,
            History(settings.history, tolerance_s=settings.sync.slop),
            settings.catch_up,
            self._now,
            self._answer,
            self._complain,
            self._refuse,
        )
        self._sensors = Sensors(node, settings, self._inference.submit)
        self._targets = TargetInputs(node, self._inference, self._sensors.forget)
        first_box = settings.first_box()
        if first_box is not None:
            self._targets.set_target(first_box, stamp_ns=0)

    def status(self) -> Status:
        """How everything does; call it often, it also notices what does not happen."""
        report = self._sensors.report()
        if report.mode is Mode.BLIND:
            self._inference.submit_blind()
        last, problem = self._inference.last, self._inference.problem
        target = last.state if last is not None else TargetState.IDLE
        level = max(report.level, _TARGET_LEVELS.get(target, Level.OK), Level.ERROR if problem else Level.OK)
        message = report.message
        if self._node.get_clock().now().nanoseconds == 0:
            message = 'use_sim_time is set, but nothing is on /clock: play the bag with --clock'
            level = Level.ERROR
        elif problem:
            message = f'{problem}; {message}'
        return Status(
            level=level,
            message=message,
            mode=report.mode,
            target=target,
            sensors=(
                self._sensor('rgb', 'rgb', report.rgb),
                self._sensor('x', self._settings.modality, report.x),
            ),
            output=lambda: self._output.report(self._now()),
            skipped=self._inference.dropped,
            model=self._model.name,
            device=self._model.device,
        )

    def clock_was_set(self) -> None:
        """Simulated time started over: a bag that loops, a simulation that was reset."""
        self._sensors.forget()
        self._inference.forget_frames()
        self._output.clear()

    def close(self) -> None:
        """No message comes in any more, then no answer goes out; the frame in work is finished."""
        self._targets.destroy()
        self._sensors.destroy()
        self._camera.destroy()
        self._inference.stop()
        self._answers.destroy()

    def _now(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _sensor(self, stream: Stream, name: str, report: SensorReport) -> SensorStatus:
        sensors = self._sensors
        return SensorStatus(name, sensors.topic(stream), report, sensors.counts(stream), sensors.lost(stream))

    def _session(self) -> TargetSession:
        settings = self._settings
        tracker = Tracker(
            self._model.network,
            settings.modality,
            settings.missing,
            settings.target.limits(self._model.network.config.calibration),
        )
        is_depth = settings.modality == Modality.DEPTH.value
        return TargetSession(tracker, settings.target, self._camera.locate if is_depth else None)

    def _answer(self, observation: Observation, estimate: Estimate, inference_ns: int) -> None:
        self._answers.publish(observation, estimate, inference_ns)
        if observation.mode is not Mode.BLIND:
            self._output.on_output(observation.lead.stamp_ns, self._now(), inference_ns)

    def _refuse(self, message: str) -> None:
        self._node.get_logger().error(message)

    def _complain(self, message: str) -> None:
        self._node.get_logger().error(message, throttle_duration_sec=REPEATED_LOG_S)
