"""What the verbs refuse before a node is started."""

from __future__ import annotations

import inspect
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from sdstrack_ros.errors import SettingError
from sdstrack_ros.evaluation.commands import evaluate
from sdstrack_ros.replay import commands
from sdstrack_ros.replay.checkpoint_faults import CHECKPOINTS
from sdstrack_ros.replay.faults import fault_names
from sdstrack_ros.types import Modality


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def call(verb: Callable[..., Any], *arguments: str) -> Result:
    app = typer.Typer()
    app.command()(verb)
    return CliRunner().invoke(app, list(arguments))


def test_every_fault_that_only_takes_is_named() -> None:
    refused = call(commands.faults, '--only', 'foo')
    assert isinstance(refused.exception, SettingError)
    for name in (*fault_names(Modality.DEPTH), *CHECKPOINTS):
        assert name in str(refused.exception)


def test_a_folder_that_cannot_be_is_found_out_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'file').touch()
    monkeypatch.setattr(commands, 'Recording', lambda *_: pytest.fail('work was begun'))
    refused = call(commands.replay, str(tmp_path), '--out', str(tmp_path / 'file' / 'below'))
    assert isinstance(refused.exception, OSError)


def test_no_verb_writes_over_the_report_of_another() -> None:
    """They write files of the same names."""
    verbs = (commands.demo, commands.replay, commands.faults, evaluate)
    folders = [inspect.signature(verb).parameters['out'].default for verb in verbs]
    assert len(set(folders)) == len(folders)
