"""The tracker node, and RViz if asked for.

    ros2 launch sdstrack tracker.launch.py modality:=depth rgb_topic:=/camera/color/image_raw \
        x_topic:=/camera/aligned_depth_to_color/image_raw

The settings come from params_file; an argument that is given goes before it.
"""

from __future__ import annotations

import os
from pathlib import Path

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.utilities import make_namespace_absolute, prefix_namespace

from sdstrack_ros.node.arguments import check_params_file

SHARE = Path(__file__).resolve().parents[1]
MODALITIES = ['', 'depth', 'thermal', 'event']
SWITCHES = ['true', 'false', 'True', 'False']

# Name, default, what it is, and what it may be. Empty: as the settings say.
ARGUMENTS = [
    ('modality', '', 'what the second sensor, X, measures: depth, thermal or event', MODALITIES),
    ('params_file', '', 'settings, YAML with the key /**; by default config/<modality>.yaml', None),
    ('namespace', 'sdstrack', 'where the topics lie: boxes come out on /<namespace>/bbox', None),
    ('use_sim_time', 'false', 'follow /clock, as for a bag played with --clock', SWITCHES),
    ('rgb_topic', 'rgb/image_raw', 'RGB images', None),
    ('x_topic', 'x/image_raw', 'X images registered to RGB, or event packets', None),
    ('camera_info_topic', 'rgb/camera_info', 'intrinsics of RGB, for the 3-D position', None),
    ('rgb_transport', '', 'how RGB images come: raw or compressed', None),
    ('x_transport', '', 'how X comes: raw, compressed, compressedDepth or event_packet', None),
    ('checkpoint', '', 'file of weights; those that ship by default', None),
    ('device', '', 'where the network runs: auto, cpu, cuda or cuda:N', None),
    ('init_box', '', 'first target: x,y,w,h in pixels', None),
    ('autostart', '', 'configure and activate without being told to', ['', *SWITCHES]),
    ('log_level', 'info', 'least severe message that is shown', ['debug', 'info', 'warn', 'error', 'fatal']),
    ('rviz', 'false', 'show RGB and the debug image', SWITCHES),
]
TEXT_PARAMETERS = ('modality', 'rgb_transport', 'x_transport', 'checkpoint', 'device', 'init_box')
TOPICS = {
    'rgb/image_raw': 'rgb_topic',
    'x/image_raw': 'x_topic',
    'rgb/camera_info': 'camera_info_topic',
}


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=about, choices=choices)
        for name, default, about, choices in ARGUMENTS
    ]
    return LaunchDescription([*arguments, *shared_memory_profile(), OpaqueFunction(function=start)])


def shared_memory_profile() -> list[LaunchDescriptionEntity]:
    """For the node and whatever is launched after it, unless the user has chosen a profile."""
    # Fast DDS reads the first name up to Jazzy, the second one since Kilted.
    names = ['FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE']
    if any(name in os.environ for name in names):
        return []
    return [SetEnvironmentVariable(name, str(SHARE / 'config' / 'fastdds_shm.xml')) for name in names]


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    given = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    settings = given['params_file'] or str(SHARE / 'config' / f'{given["modality"] or "depth"}.yaml')
    outer = context.launch_configurations.get('ros_namespace')  # of the launch file that includes this one
    namespace = make_namespace_absolute(prefix_namespace(outer, given['namespace']))
    check_params_file(Path(settings), f'{namespace.rstrip("/")}/tracker')

    overrides = {name: ParameterValue(given[name], value_type=str) for name in TEXT_PARAMETERS if given[name]}
    overrides['use_sim_time'] = ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool)
    if given['autostart']:
        overrides['autostart'] = ParameterValue(LaunchConfiguration('autostart'), value_type=bool)

    tracker = LifecycleNode(
        package='sdstrack',
        executable='tracker',
        name='tracker',
        namespace=given['namespace'],
        parameters=[settings, overrides],
        remappings=[(name, given[argument]) for name, argument in TOPICS.items() if given[argument] != name],
        ros_arguments=['--log-level', given['log_level']],
        output='screen',
        emulate_tty=True,
    )
    if given['rviz'].lower() == 'false':
        return [tracker]
    rviz = Node(
        package='rviz2',
        executable='rviz2',
        namespace=given['namespace'],
        arguments=['-d', str(SHARE / 'config' / 'tracker.rviz')],
        remappings=[
            ('/sdstrack/rgb/image_raw', given['rgb_topic']),
            ('/sdstrack/debug_image', 'debug_image'),
        ],
        parameters=[{'use_sim_time': overrides['use_sim_time']}],
    )
    return [tracker, rviz]
