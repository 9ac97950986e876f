"""The process of the node: signals, the shared-memory profile, and an exit code that tells the truth."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import SdstrackError

if TYPE_CHECKING:
    from rclpy.context import Context
    from rclpy.executors import Executor

# How Fast DDS is told its profile on Jazzy and before, and since Kilted.
_PROFILE_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
_REPEATED_LOG_S = 5.0
_SPIN_S = 0.1  # how soon a signal is seen


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tracker node until SIGINT or SIGTERM; ROS arguments as usual (`--ros-args ...`).

    Returns 0 after a signal, 2 where the node cannot be made from its arguments or parameters.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    # Imported late: loading torch takes seconds, in which a signal must already be understood.
    import cv2
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    from .node import TrackerNode

    cv2.setNumThreads(1)  # crops are small: to wake threads for them takes longer than to work on them
    use_shared_memory_profile()
    try:
        rclpy.init(args=argv, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # rcl refuses an argument, which it names, and the place in its own source
        rclpy.logging.get_logger('sdstrack').fatal(str(error).partition(', at /')[0])
        return 2
    try:
        try:
            node = TrackerNode()
        except SdstrackError as error:
            rclpy.logging.get_logger('sdstrack').fatal(str(error))
            return 2
        executor = make_executor(rclpy.get_default_context())
        executor.add_node(node)
        while not stop.is_set() and rclpy.ok():
            try:
                executor.spin_once(timeout_sec=_SPIN_S)
            except Exception:  # one message or call that goes wrong does not end the node
                node.get_logger().error(traceback.format_exc(), throttle_duration_sec=_REPEATED_LOG_S)
        # `ros2 launch` sends Ctrl-C a second time: the teardown is not to be interrupted.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        node.close()
        executor.shutdown()
        node.destroy_node()
    finally:
        rclpy.try_shutdown()
    return 0


def make_executor(context: Context) -> Executor:
    """The cheapest there is: rebuilding a wait set for every message makes each frame milliseconds late."""
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:  # rclpy before 7.1.4
        from rclpy.executors import SingleThreadedExecutor

        return SingleThreadedExecutor(context=context)
    return EventsExecutor(context=context)


def use_shared_memory_profile() -> None:
    """Let Fast DDS pass whole frames through shared memory, unless the user has chosen a profile.

    With its defaults a frame does not fit the shared-memory segment, and best-effort images are mostly lost.
    """
    from ..share import shared_file

    profile = shared_file('config/fastdds_shm.xml')
    if profile is not None and not any(variable in os.environ for variable in _PROFILE_VARIABLES):
        os.environ.update(dict.fromkeys(_PROFILE_VARIABLES, str(profile)))


if __name__ == '__main__':
    sys.exit(main(sys.argv))
