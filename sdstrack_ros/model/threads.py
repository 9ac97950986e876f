"""How many threads the network gets on the CPU."""

from __future__ import annotations

import os

import torch

# What torch took at its start: the physical cores, or OMP_NUM_THREADS.
_TORCH_DEFAULT = torch.get_num_threads()


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def live_threads(wanted: int = 0) -> int:
    """Threads for a network beside which frames come in and boxes go out; 0: one core is left to them.

    The threads of a layer wait for the last of them, many times a frame. Where one shares its core with a
    camera driver, all of them wait for that: two threads on two such cores are slower than one.
    """
    return wanted or max(1, min(_TORCH_DEFAULT, available_cores() - 1))
