"""The runs of a fleet's bags on many machines, through Ray (an optional extra: pip install "ray").

Every machine must see the sources, the weights and the output folder under the same paths.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..errors import SettingError
from .parallel import Job, Outcome, run_job


def run_fleet(
    address: str, jobs: Sequence[Job], on_progress: Callable[[int], None] = lambda frames: None
) -> Iterator[Outcome]:
    """As `run_jobs`, on the Ray cluster at `address`: 'auto', 'ray://host:10001', 'local' (this machine).

    A job takes one core; Ray repeats a job whose machine is lost. Progress counts whole sequences.
    """
    try:
        ray: Any = importlib.import_module('ray')
    except ImportError:
        raise SettingError('a fleet needs Ray: pip install "ray>=2.40,<3"') from None
    try:
        ray.init(address=address, logging_level='error', log_to_driver=False)
    except (ConnectionError, ValueError) as error:
        raise SettingError(f'no Ray cluster at {address!r}: {error}') from None
    try:
        remote = ray.remote(num_cpus=1, max_retries=2)(run_job)
        pending = [remote.remote(job) for job in jobs]
        frames = 0
        while pending:
            done, pending = ray.wait(pending)
            for outcome in ray.get(done):
                frames += len(outcome.job.sequence.stamps_ns)
                on_progress(frames)
                yield outcome
    finally:
        ray.shutdown()
