"""The lifecycle node: parameters and model at configure, everything that moves at activate."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import torch
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from ..errors import SdstrackError, SettingError
from ..sensing.health import Level
from .loading import LoadedModel, load_model, warm_up
from .parameters import belongs_to_ros, declare, replaced
from .pipeline import Pipeline
from .report import Status, StatusPublishers
from .sensors import check_transport
from .settings import NodeSettings

TICK_S = 0.03
"""How often silence is looked for: about one period of a camera."""


class TrackerNode(LifecycleNode):
    """`tracker`. Names are relative to its namespace, `sdstrack` by default.

    In: rgb/image_raw, x/image_raw (or their transports), rgb/camera_info or x/camera_info, target.
    Out: bbox, health (latched), /diagnostics, debug_image while someone listens, detections where
    vision_msgs is installed. Services: tracker/set_target, tracker/reset, and those of the lifecycle.

    Raises SettingError, naming the parameter, where one is unknown, mistyped or out of range.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__('tracker', automatically_declare_parameters_from_overrides=True, **options)
        try:
            self._settings = declare(self, NodeSettings(), read_only=('autostart',))
        except SettingError:
            self.destroy_node()
            raise
        self.add_on_set_parameters_callback(self._on_parameters)
        self._model: LoadedModel | None = None
        self._pipeline: Pipeline | None = None
        self._idle = Status(Level.WARN, 'unconfigured')
        self._publishers_of_status = StatusPublishers(self)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._ticks = self.create_timer(TICK_S, self._tick, clock=self._steady)
        if self._settings.autostart:
            self._start = self.create_timer(0.0, self._autostart, clock=self._steady)
        back = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True)
        self._jumps = self.get_clock().create_jump_callback(back, post_callback=self._on_clock_jump)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model; a failure is told on `health`, and may be mended by setting parameters."""
        return self._attempt(self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe, and answer every frame from now on."""
        return self._attempt(self._activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of topics and target; the model stays."""
        self._deactivate()
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model's memory."""
        self._clean_up()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """From any state."""
        self.close()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured, from where all can be tried again; what went wrong is still told."""
        told = self._idle
        self.close()
        self._idle = told
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """End the worker and free everything; may be called in any state, also twice."""
        self._deactivate()
        self._clean_up()

    def _configure(self) -> None:
        check_transport(self._settings)
        model = load_model(self._settings)
        warm_up(model, self._settings)
        self.get_logger().info(f'{self._settings.modality} model {model.name} on {model.device}')
        self._model = model
        self._idle = Status(Level.WARN, 'inactive', model=model.name, device=model.device)

    def _activate(self) -> None:
        assert self._model is not None
        self._pipeline = Pipeline(self, self._settings, self._model)

    def _deactivate(self) -> None:
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            pipeline.close()

    def _clean_up(self) -> None:
        self._model = None
        self._idle = Status(Level.WARN, 'unconfigured')
        torch.cuda.empty_cache()

    def _attempt(self, step: Callable[[], None]) -> TransitionCallbackReturn:
        """rclpy drops what a transition raises; so it is told here, and the state stays as it was."""
        try:
            step()
        except (SdstrackError, MemoryError, torch.OutOfMemoryError) as error:
            self._idle = Status(Level.ERROR, f'cannot start: {str(error) or type(error).__name__}')
            torch.cuda.empty_cache()
            return TransitionCallbackReturn.FAILURE
        except Exception:
            self.get_logger().fatal(traceback.format_exc())
            self._idle = Status(Level.ERROR, 'cannot start: an error of sdstrack itself; the log has it')
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    def _autostart(self) -> None:
        self._start.cancel()
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def _tick(self) -> None:
        status = self._pipeline.status() if self._pipeline is not None else self._idle
        self._publishers_of_status.publish(status, self._steady.now().nanoseconds)

    def _on_clock_jump(self, _: object) -> None:
        if self._pipeline is not None:
            self.get_logger().info('the clock was set: frames from before are forgotten')
            self._pipeline.clock_was_set()

    def _on_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        """Checked like those given at the start; they take effect at the next configure."""
        ours = {each.name: each.value for each in parameters if not belongs_to_ros(each.name)}
        if not ours:
            return SetParametersResult(successful=True)
        if self._model is not None:
            why = f'parameter {min(ours)!r} cannot change while the node is configured: clean it up first'
            return SetParametersResult(successful=False, reason=why)
        try:
            self._settings = replaced(self._settings, ours)
        except SettingError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)
