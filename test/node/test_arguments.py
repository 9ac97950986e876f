"""What the node is given on its command line, against rcl, which reads it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from sdstrack_ros.errors import SettingError
from sdstrack_ros.node.arguments import check_params_file, parameter


def parameters_of(*arguments: str) -> dict[str, Any]:
    """Those that a node /sdstrack/tracker with these ROS arguments has."""
    context = rclpy.Context()
    rclpy.init(
        args=['x', '--ros-args', '-r', '__ns:=/sdstrack', *arguments],
        context=context,
        domain_id=60 + os.getpid() % 40,
        signal_handler_options=SignalHandlerOptions.NO,
    )
    node = Node('tracker', context=context, automatically_declare_parameters_from_overrides=True)
    found = {name: each.value for name, each in node.get_parameters_by_prefix('').items()}
    node.destroy_node()
    context.try_shutdown()
    return found


def test_every_text_stays_the_text_that_it_is() -> None:
    texts = ['w #1/u.safetensors', '2024', 'a: b', '[x]', "it's", '1,2,3,4', 'true', '~', '', '\\n"']
    arguments = [word for i, text in enumerate(texts) for word in ('-p', parameter(f'text{i}', text))]
    found = parameters_of(*arguments)
    assert [found[f'text{i}'] for i in range(len(texts))] == texts


def test_what_is_no_text_keeps_its_type() -> None:
    values = {'switch': True, 'whole': 3, 'real': 0.5, 'path': Path('/a b')}
    found = parameters_of(*(word for item in values.items() for word in ('-p', parameter(*item))))
    assert {name: found[name] for name in values} == {**values, 'path': '/a b'}


@pytest.mark.parametrize(
    'keys',
    [
        *('/**', '**', '/sdstrack/tracker', 'sdstrack/tracker', '/*/tracker', '/**/tracker', '/sdstrack/*'),
        *('/*/*', '/**/sdstrack/tracker', 'sdstrack: tracker', '/**: tracker'),
        *('/*', 'tracker', '/tracker', '/a/**', '/*/*/tracker', 'tracker: sdstrack'),
    ],
)
def test_a_file_is_taken_where_rcl_gives_its_parameters_to_the_node(keys: str, tmp_path: Path) -> None:
    path = tmp_path / 'mine.yaml'
    path.write_text(
        ''.join(f'{" " * depth}"{key}":\n' for depth, key in enumerate(keys.split(': ')))
        + '   ros__parameters: {modality: thermal}\n'
    )
    if 'modality' in parameters_of('--params-file', str(path)):
        check_params_file(path, '/sdstrack/tracker')
    else:
        with pytest.raises(SettingError, match=r'does not match /sdstrack/tracker; use /\*\*'):
            check_params_file(path, '/sdstrack/tracker')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'it sets nothing'),
        ('/**: {modality: thermal}', r'it sets nothing; write parameters under /\*\*: ros__parameters:'),
        ('- tracker', 'it sets nothing'),
        ('/**: {ros__parameters: {modality: thermal', 'not valid YAML'),
        ('tracker: {ros__parameters: {modality: thermal}}', "for 'tracker', which does not match /a/tracker"),
    ],
)
def test_a_file_that_says_nothing_to_the_node_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / 'mine.yaml'
    path.write_text(text)
    with pytest.raises(SettingError, match=f'params_file {path}: .*{message}'):
        check_params_file(path, '/a/tracker')
