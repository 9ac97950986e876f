"""The launch file, loaded by the real `launch`, which comes with a ROS installation and not from pip."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

pytest.importorskip('launch_ros', reason='launch and launch_ros come with a ROS 2 installation only')

import launch
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import LifecycleNode

ROOT = Path(__file__).parents[2]
ARGUMENTS = {
    *('modality', 'params_file', 'namespace', 'use_sim_time', 'rgb_topic', 'x_topic'),
    *('checkpoint', 'device', 'init_box', 'autostart', 'log_level', 'rviz'),
}


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """Where launch_ros looks for the node's program; the wheels leave it unset."""
    monkeypatch.setenv('AMENT_PREFIX_PATH', os.environ.get('AMENT_PREFIX_PATH') or sys.prefix)


def described(context):
    source = PythonLaunchDescriptionSource(str(ROOT / 'launch' / 'tracker.launch.py'))
    return source.get_launch_description(context).entities


def started(**given):
    """The launch file run with these arguments: the context, and the node."""
    context = launch.LaunchContext()
    context.launch_configurations.update(given)
    produced = [each for entity in described(context) for each in entity.visit(context) or []]
    (node,) = [each for each in produced if isinstance(each, LifecycleNode)]
    return context, node


def command_line(**given):
    context, node = started(**given)
    node._perform_substitutions(context)
    return [launch.utilities.perform_substitutions(context, [*words]) for words in node.cmd]


def test_it_takes_the_arguments_that_users_know():
    names = {e.name for e in described(launch.LaunchContext()) if isinstance(e, DeclareLaunchArgument)}
    assert names >= ARGUMENTS


@pytest.mark.parametrize('modality', ['depth', 'thermal', 'event'])
def test_each_modality_starts_with_its_own_settings(modality):
    assert str(ROOT / 'config' / f'{modality}.yaml') in command_line(modality=modality)


def test_a_params_file_that_is_not_there_is_named():
    with pytest.raises(FileNotFoundError, match=r'params_file.*nowhere'):
        started(params_file='/nowhere.yaml')


@pytest.mark.parametrize('variable', ['FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'])
def test_the_profile_of_the_user_stays(monkeypatch, variable):
    for name in [name for name in os.environ if name.endswith('_DEFAULT_PROFILES_FILE')]:
        monkeypatch.delenv(name)
    assert any(isinstance(each, SetEnvironmentVariable) for each in described(launch.LaunchContext()))
    monkeypatch.setenv(variable, '/mine.xml')
    assert not any(isinstance(each, SetEnvironmentVariable) for each in described(launch.LaunchContext()))
