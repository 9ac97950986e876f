"""The process: how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdstrack_ros.node import main

PATIENCE_S = 60.0


def start(*arguments: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'ROS_DOMAIN_ID': str(60 + os.getpid() % 40),
        'OMP_NUM_THREADS': '1',
    }
    return subprocess.Popen(
        [sys.executable, '-m', 'sdstrack_ros.node.main', '--ros-args', *arguments],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_line(process: subprocess.Popen[str], words: str) -> str:
    """What it has said until it says this."""
    said = ''
    assert process.stderr is not None
    timer = threading.Timer(PATIENCE_S, process.kill)
    timer.start()
    for line in process.stderr:
        said += line
        if words in line:
            timer.cancel()
            return said
    timer.cancel()
    pytest.fail(f'{words!r} was never said, but: {said}')


@pytest.fixture
def running(checkpoint: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Two nodes that are active."""
    model = ('-p', f'checkpoint:={checkpoint}', '-p', 'device:=cpu')
    processes = [start('-r', f'__ns:=/end{i}', *model) for i in range(2)]
    try:
        for process in processes:
            wait_for_line(process, 'blind')
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_signals_end_the_process_with_exit_code_0_also_when_sent_twice(running) -> None:
    sent = [(signal.SIGTERM,), (signal.SIGINT, signal.SIGINT)]
    for process, signals in zip(running, sent, strict=True):
        for number in signals:
            process.send_signal(number)
    for process in running:
        _, said = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, said
        assert 'Traceback' not in said


def test_a_bad_parameter_ends_the_process_with_its_name_and_exit_code_2() -> None:
    process = start('-p', 'sync.slop:=-1.0')
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert 'sync.slop' in said


@pytest.mark.parametrize(
    'arguments',
    [
        ('--log-level', 'loud'),
        ('-r', '__ns:=/a b'),
        ('-r', 'rgb/image_raw:=a b'),
        ('-p', 'device:=a: b'),
        ('--params-file', '/nowhere.yaml'),
        ('--bogus',),
    ],
)
def test_an_argument_that_rcl_refuses_is_named_in_a_line_of_ours(arguments, capfd, monkeypatch) -> None:
    monkeypatch.setattr(signal, 'signal', lambda *_: None)
    monkeypatch.setattr(main, 'use_shared_memory_profile', lambda: None)
    assert main.main(['sdstrack', '--ros-args', *arguments]) == 2
    (said,) = (line for line in capfd.readouterr().err.splitlines() if '[sdstrack]: ' in line)
    assert arguments[-1] in said
    assert '.c:' not in said
