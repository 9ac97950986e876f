"""`sdstrack run`: what it hands on to the node."""

from __future__ import annotations

import pytest
import typer

from sdstrack_ros.errors import SettingError
from sdstrack_ros.node import commands


@pytest.fixture
def handed_on(monkeypatch):
    calls: list[list[str]] = []
    monkeypatch.setattr(commands, 'main', lambda arguments: calls.append(arguments) or 0)
    app = typer.Typer()
    app.command()(commands.run)

    def call(*arguments: str) -> str:
        app(list(arguments), standalone_mode=False)
        return ' '.join(calls[-1])

    return call


def test_a_parameter_file_is_not_overruled_by_options_that_were_not_given(handed_on, tmp_path):
    mine = tmp_path / 'mine.yaml'
    mine.write_text('/**: {ros__parameters: {modality: thermal, device: cpu}}')
    said = handed_on('--params-file', str(mine))
    assert str(mine) in said
    assert '-p' not in said.replace('--params-file', '').split()


def test_options_that_are_given_go_before_the_file(handed_on):
    said = handed_on('--modality', 'event', '--device', 'cpu', '--init-box', '1,2,3,4', '--x-topic', '/dvs')
    assert 'config/event.yaml' in said
    for expected in ("modality:='event'", "device:='cpu'", "init_box:='1,2,3,4'", 'x/image_raw:=/dvs'):
        assert expected in said


def test_a_path_is_quoted_for_the_node(handed_on):
    assert "checkpoint:='it''s #1.safetensors'" in handed_on('--checkpoint', "it's #1.safetensors")


@pytest.mark.parametrize(('namespace', 'node'), [('robot', '/robot/tracker'), ('/', '/tracker')])
def test_a_parameter_file_for_another_node_is_refused(handed_on, tmp_path, namespace, node):
    """The node would run with depth, and say nothing of the file."""
    mine = tmp_path / 'mine.yaml'
    mine.write_text('sdstrack: {tracker: {ros__parameters: {modality: thermal}}}')
    handed_on('--params-file', str(mine))
    with pytest.raises(SettingError, match=f"'sdstrack/tracker', which does not match {node}"):
        handed_on('--params-file', str(mine), '--namespace', namespace)
