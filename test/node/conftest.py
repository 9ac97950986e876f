"""A tester node that shares one executor with the node under test, on a domain of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest
import rclpy
import torch
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions
from sdstrack.msg import TrackedBox, TrackerHealth
from sensor_msgs.msg import Image as ImageMsg
from std_msgs.msg import Header

from sdstrack_ros.model import SDSTrack, SDSTrackConfig
from sdstrack_ros.node.conversions import header_of, image_message, stamp_of
from sdstrack_ros.node.main import make_executor
from sdstrack_ros.node.node import TrackerNode
from sdstrack_ros.types import Frame

WIDTH, HEIGHT = 160, 120
PERIOD_S = 0.03
PATIENCE_S = 20.0
DOMAIN = 60 + os.getpid() % 40
TINY = SDSTrackConfig(
    dim=48,
    depth=2,
    heads=3,
    template_size=64,
    search_size=128,
    fusion_blocks=(1,),
    elimination_blocks=(),
    head_channels=32,
)

os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
torch.set_num_threads(1)


@pytest.fixture(scope='session')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with random weights, small enough to answer in milliseconds."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('weights') / 'tiny.safetensors'
    SDSTrack(TINY).save(path)
    return path


class Tester:
    """Push frames, await what comes back.

    Names of parameters have __ for the dot: Tester(checkpoint, sync__slop=0.01).
    """

    def __init__(self, checkpoint: Path | str, cli_args: list[str] | None = None, **parameters: Any) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=DOMAIN, signal_handler_options=SignalHandlerOptions.NO)
        self.executor = make_executor(self.context)
        self.node = Node('tester', context=self.context, namespace='sdstrack')
        values = {'checkpoint': str(checkpoint), 'device': 'cpu', **parameters}
        overrides = [Parameter(name.replace('__', '.'), value=value) for name, value in values.items()]
        try:
            self.tracker = TrackerNode(
                context=self.context,
                namespace='sdstrack',
                parameter_overrides=overrides,
                cli_args=cli_args,
            )
        except Exception:
            self.context.try_shutdown()
            raise
        for node in (self.tracker, self.node):
            self.executor.add_node(node)
        self.boxes: list[TrackedBox] = []
        self.healths: list[TrackerHealth] = []
        self.diagnostics: list[DiagnosticArray] = []
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.node.create_subscription(TrackedBox, 'bbox', self.boxes.append, 100)
        self.node.create_subscription(TrackerHealth, 'health', self.healths.append, latched)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self.diagnostics.append, 10)
        self.rgb = self.node.create_publisher(ImageMsg, 'rgb/image_raw', 10)
        self.x = self.node.create_publisher(ImageMsg, 'x/image_raw', 10)
        self.stamp_ns = self.now_ns()
        self._clients: dict[str, Any] = {}
        self._random = np.random.default_rng(0)

    def close(self) -> None:
        self.tracker.close()
        self.executor.shutdown()
        self.tracker.destroy_node()
        self.node.destroy_node()
        self.context.try_shutdown()

    @staticmethod
    def stamp_of(box: TrackedBox) -> int:
        return stamp_of(box.header)

    def now_ns(self) -> int:
        return self.node.get_clock().now().nanoseconds

    @property
    def health(self) -> TrackerHealth:
        return self.healths[-1]

    def spin(self, seconds: float) -> None:
        end = monotonic() + seconds
        while (left := end - monotonic()) > 0:
            self.executor.spin_once(timeout_sec=left)

    def wait_for(self, condition: Callable[[], Any], what: str) -> None:
        """Spin until the condition holds; fail, saying what was waited for, where it does not in time."""
        end = monotonic() + PATIENCE_S
        while not condition():
            if monotonic() > end:
                told = self.health.message if self.healths else 'nothing'
                pytest.fail(f'waited in vain for {what}; health: {told}')
            self.executor.spin_once(timeout_sec=0.02)

    def start(self) -> Tester:
        """Wait until the node is active and the topics are matched."""
        self.wait_for(lambda: self.rgb.get_subscription_count() and self.x.get_subscription_count(), 'active')
        self.wait_for(lambda: self.node.count_publishers('/sdstrack/bbox') and self.healths, 'its topics')
        return self

    def rgb_image(self) -> np.ndarray:
        return self._random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)

    def depth_image(self) -> np.ndarray:
        return self._random.integers(900, 1100, (HEIGHT, WIDTH), dtype=np.uint16)

    def push(
        self,
        rgb: np.ndarray | str | None = 'noise',
        x: np.ndarray | str | None = 'noise',
        rgb_encoding: str = 'rgb8',
        x_encoding: str = '16UC1',
    ) -> int:
        """Send one frame of each stream (None: not of that one), one period after the last; the stamp."""
        header = self.header()
        if rgb is not None:
            image = self.rgb_image() if isinstance(rgb, str) else rgb
            self.rgb.publish(image_message(image, rgb_encoding, header))
        if x is not None:
            image = self.depth_image() if isinstance(x, str) else x
            self.x.publish(image_message(image, x_encoding, header))
        return self.stamp_ns

    def header(self) -> Header:
        """That of the next frame; its stamp is `stamp_ns` from then on."""
        self.stamp_ns = max(self.stamp_ns + round(PERIOD_S * 1e9), self.now_ns())
        return header_of(Frame(self.stamp_ns, np.empty(0), 'camera'))

    def answer_to(self, stamp_ns: int) -> TrackedBox:
        """The box with this stamp, awaited."""

        def found() -> list[TrackedBox]:
            return [box for box in self.boxes if self.stamp_of(box) == stamp_ns]

        self.wait_for(found, f'the box of stamp {stamp_ns}')
        return found()[-1]

    def exchange(self, **frames: Any) -> TrackedBox:
        """Send frames and await their box."""
        return self.answer_to(self.push(**frames))

    def stream_until(self, condition: Callable[[], Any], what: str, **frames: Any) -> None:
        """Send frames at the rate of a camera until the condition holds."""
        end = monotonic() + PATIENCE_S
        while not condition():
            if monotonic() > end:
                pytest.fail(f'waited in vain for {what}; health: {self.health.message}')
            self.push(**frames)
            self.spin(PERIOD_S)

    def call(self, service: type, name: str, request: Any) -> Any:
        """The service's answer."""
        if name not in self._clients:
            self._clients[name] = self.node.create_client(service, name)
        client = self._clients[name]
        self.wait_for(client.service_is_ready, name)
        future = client.call_async(request)
        self.wait_for(future.done, f'the answer of {name}')
        return future.result()


@pytest.fixture
def tester(checkpoint: Path) -> Iterator[Callable[..., Tester]]:
    """tester(**parameters): one with a node of these parameters, taken down after the test."""
    made: list[Tester] = []

    def make(**parameters: Any) -> Tester:
        made.append(Tester(parameters.pop('checkpoint', checkpoint), **parameters))
        return made[-1]

    yield make
    for each in made:
        each.close()
