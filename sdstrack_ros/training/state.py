"""All that a run needs to go on after it was stopped, in one file that is never half written."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.optim import Optimizer

from ..errors import TrainingError

MAX_REASON = 200  # characters; torch lists every key that does not fit


def random_state() -> list[dict[str, torch.Tensor]]:
    """State of torch's generators of every process, by rank."""
    own = {'cpu': torch.get_rng_state()}
    if torch.cuda.is_available():
        own['cuda'] = torch.cuda.get_rng_state()
    if not dist.is_initialized():
        return [own]
    every: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(every, own)
    return every


def restore_random_state(states: list[dict[str, torch.Tensor]]) -> None:
    """Set this process' generators; nothing where the run had fewer processes."""
    rank = dist.get_rank() if dist.is_initialized() else 0
    if rank < len(states):
        torch.set_rng_state(states[rank]['cpu'])
        if 'cuda' in states[rank] and torch.cuda.is_available():
            torch.cuda.set_rng_state(states[rank]['cuda'])


def save_state(
    path: Path,
    step: int,
    seconds: float,
    steps_per_epoch: int,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    average: nn.Module | None,
    random: list[dict[str, torch.Tensor]],
) -> None:
    """Write weights, optimisers, averaged weights, generators, and how far the run is."""
    state = {
        'step': step,
        'seconds': seconds,
        'steps_per_epoch': steps_per_epoch,
        'model': model.state_dict(),
        'optimizers': [each.state_dict() for each in optimizers],
        'average': None if average is None else average.state_dict(),
        'random': random,
    }
    unfinished = path.with_name(path.name + '.part')
    torch.save(state, unfinished)
    os.replace(unfinished, path)


def load_state(
    path: Path,
    steps_per_epoch: int,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    average: nn.Module | None,
    device: torch.device,
) -> tuple[int, float]:
    """Bring everything back in place; the step and seconds reached. TrainingError where it does not fit."""
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        kept_epoch = state['steps_per_epoch']
        model.load_state_dict(state['model'])
        for optimizer, kept in zip(optimizers, state['optimizers'], strict=True):
            optimizer.load_state_dict(kept)
        if average is not None and state['average'] is not None:
            average.load_state_dict(state['average'])
        # generators live on the CPU wherever the rest went
        restore_random_state([{k: v.cpu() for k, v in each.items()} for each in state['random']])
    except (RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
        reason = ' '.join(str(error).split())[:MAX_REASON]
        raise TrainingError(
            f'{path}: cannot resume from this state ({reason}); it belongs to another network or recipe, '
            f'or is damaged: use another output folder, or remove it to start anew'
        ) from error
    if kept_epoch != steps_per_epoch:
        raise TrainingError(
            f'{path}: an epoch of this run had {kept_epoch} steps, and would now have '
            f'{steps_per_epoch}: resume with as many processes, and pairs per step and epoch, as before'
        )
    return int(state['step']), float(state['seconds'])
