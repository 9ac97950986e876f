"""The launch file, run by the real `launch`, which comes with a ROS installation and not from pip."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile
from sdstrack.msg import TrackerHealth

pytest.importorskip('launch_ros', reason='launch and launch_ros come with a ROS 2 installation only')

from launch import LaunchContext
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.launch_description_sources import PythonLaunchDescriptionSource

FILE = Path(__file__).parents[2] / 'launch' / 'tracker.launch.py'
ARGUMENTS = {
    *('modality', 'params_file', 'namespace', 'use_sim_time', 'rgb_topic', 'x_topic'),
    *('checkpoint', 'device', 'init_box', 'autostart', 'log_level', 'rviz'),
}
LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

arguments = [argument.split(':=') for argument in sys.argv[2:]]
source = PythonLaunchDescriptionSource(sys.argv[1])
service = LaunchService()
service.include_launch_description(
    LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)])
)
sys.exit(service.run())
"""


@pytest.fixture
def health():
    """The latest message on /robot/health, as a list."""
    rclpy.init()
    node = rclpy.create_node('listener')
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    received: list[TrackerHealth] = []
    node.create_subscription(TrackerHealth, '/robot/health', received.append, latched)

    def wait(accept):
        end = time.monotonic() + 30
        while not any(map(accept, received)):
            assert time.monotonic() < end, received[-1:]
            rclpy.spin_once(node, timeout_sec=0.1)

    yield wait
    node.destroy_node()
    rclpy.shutdown()


def described():
    return PythonLaunchDescriptionSource(str(FILE)).get_launch_description(LaunchContext()).entities


def launched(*arguments):
    # The wheels leave the prefix of the node's program unset, a sourced ROS does not.
    environment = {'AMENT_PREFIX_PATH': sys.prefix, **os.environ}
    return subprocess.Popen(
        [sys.executable, '-c', LAUNCH, str(FILE), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_it_takes_the_arguments_that_users_know():
    assert {each.name for each in described() if isinstance(each, DeclareLaunchArgument)} >= ARGUMENTS


def test_the_node_comes_up_with_the_arguments_and_ends_with_the_launch(health, tmp_path):
    settings = tmp_path / 'mine.yaml'
    settings.write_text('/**: {ros__parameters: {modality: thermal}}')
    arguments = {
        'namespace': 'robot',
        'x_topic': '/cam/x',
        'init_box': '1,2,30,40',
        'params_file': str(settings),
    }
    process = launched(*(f'{name}:={value}' for name, value in arguments.items()))
    try:
        health(lambda h: (h.x.name, h.x.topic, h.rgb.topic) == ('thermal', '/cam/x', '/robot/rgb/image_raw'))
    finally:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 0, said


@pytest.mark.parametrize(
    ('written', 'message'),
    [
        (None, 'cannot be read: No such file'),
        ('/sdstrack/tracker: {ros__parameters: {modality: thermal}}', 'which does not match /robot/tracker'),
    ],
)
def test_a_params_file_that_says_nothing_to_the_node_is_named(tmp_path, written, message):
    settings = tmp_path / 'mine.yaml'
    if written:
        settings.write_text(written)
    process = launched(f'params_file:={settings}', 'namespace:=robot')
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert f'params_file {settings}: ' in said
    assert message in said


@pytest.mark.parametrize('variable', ['FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'])
def test_the_profile_of_the_user_stays(monkeypatch, variable):
    for name in [name for name in os.environ if name.endswith('_DEFAULT_PROFILES_FILE')]:
        monkeypatch.delenv(name)
    assert any(isinstance(each, SetEnvironmentVariable) for each in described())
    monkeypatch.setenv(variable, '/mine.xml')
    assert not any(isinstance(each, SetEnvironmentVariable) for each in described())
