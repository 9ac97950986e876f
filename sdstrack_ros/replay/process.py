"""The tracker node in a process of its own, as a robot runs it.

with NodeProcess({'modality': 'depth'}, domain=42, log=Path('node.log')) as node:
    ...
    node.check()            # NodeError, with the end of its log, if it has ended on its own
assert node.exit_code == 0
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from ..errors import NodeError
from ..node.arguments import parameter

NAMESPACE = '/sdstrack'
LOCAL = {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
_STOP_S = 20.0  # a frame in work is finished first
_LOG_SHOWN = 15  # lines
_NODES = itertools.count()
_PAGE = os.sysconf('SC_PAGE_SIZE')
# What marks an environment that the ROS wheels have prepared: a child prepares its own.
_OF_THE_PARENT = ('_ROS_WHEELS_BOOTSTRAP_COMPLETE', 'ROS_NAMESPACE')


def own_domain() -> int:
    """A domain for one node and what is opposite it: nobody else, and no robot, is on it but by bad luck.

    1 to 100: the ports of higher ones may be taken by the system for outgoing connections.
    """
    return 1 + (os.getpid() + next(_NODES) * 37) % 100


class NodeProcess:
    """Starts at once; `stop`, or leaving the `with` block, ends it by SIGINT. Its output goes to `log`."""

    def __init__(
        self,
        parameters: Mapping[str, object],
        *,
        domain: int,
        log: Path,
        params_file: Path | None = None,
    ) -> None:
        """parameters: names and values, over those of `params_file`."""
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, '-m', 'sdstrack_ros.node.main', '--ros-args', '-r', f'__ns:={NAMESPACE}']
        if params_file is not None:
            command += ['--params-file', str(params_file)]
        for name, value in parameters.items():
            command += ['-p', parameter(name, value)]
        with log.open('wb') as output:
            self._process = subprocess.Popen(
                command,
                env=_environment(domain, log.parent),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is ours: the node ends when it is told to
            )

    def __enter__(self) -> NodeProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative where a signal killed it."""
        return self._process.poll()

    @property
    def resident_bytes(self) -> int:
        """Memory that it occupies now; 0 where the system does not say, or it has ended."""
        try:
            return int(Path(f'/proc/{self._process.pid}/statm').read_text().split()[1]) * _PAGE
        except (OSError, IndexError):
            return 0

    def check(self) -> None:
        """NodeError if it has ended on its own."""
        if not self.alive:
            raise NodeError(
                f'the node ended with exit code {self.exit_code}; {self.log} ends with\n{self.tail}'
            )

    @property
    def tail(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(errors='replace').splitlines()
        return '\n'.join(lines[-_LOG_SHOWN:])

    def stop(self) -> int:
        """End it as Ctrl-C does; killed if it does not obey. Its exit code."""
        if self.alive:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def _environment(domain: int, folder: Path) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if name not in _OF_THE_PARENT}
    source = str(Path(__file__).parents[2])  # the child runs the code that runs here
    ours['PYTHONPATH'] = os.pathsep.join(filter(None, (source, ours.get('PYTHONPATH'))))
    if 'HOME' not in ours:  # where ROS keeps logs of its own
        ours.setdefault('ROS_LOG_DIR', str(folder))
    return {**ours, **LOCAL, 'ROS_DOMAIN_ID': str(domain), 'PYTHONUNBUFFERED': '1'}
