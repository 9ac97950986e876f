"""The one training loop, for every recipe.

    settings = TrainSettings(steps=20_000, minutes=25, schedule='cosine', warmup_steps=500)
    train(model, adapter_parameter_groups(model, 1e-4), batches, objective, settings, Path('out'), save_model)

`batches(step)` gives the endless iterator of batches from that step on, already on the model's device.
Between two log lines the host never waits for the device.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..errors import SettingError, TrainingError
from ..settings import check, setting
from .batch import BatchSource, Loss, Objective, TrainingBatch
from .optimizers import OPTIMIZERS, make_optimizers
from .progress import CsvLog, ProgressLine
from .state import load_state, random_state, save_state

Model = TypeVar('Model', bound=nn.Module)

STATE_FILE, MODEL_FILE, LOG_FILE = 'state.pt', 'model.safetensors', 'log.csv'
VALIDATION_FILE = 'validation.csv'


@dataclass(frozen=True)
class TrainSettings:
    """How to train, whatever is trained. Learning rates stand in the parameter groups."""

    steps: int = setting(0, 'optimiser steps of the whole run; 0: as many as `minutes` allow', minimum=0)
    minutes: float = setting(0.0, 'time of the whole run, min; 0: as long as `steps` take', minimum=0.0)
    steps_per_epoch: int = setting(1000, 'steps that count as one epoch', minimum=1)
    schedule: str = setting(
        'constant',
        'learning rate over the share done, of the steps or the time',
        choices=('constant', 'cosine'),
    )
    warmup_steps: int = setting(0, 'steps over which the learning rate rises from zero', minimum=0)
    optimizer: str = setting(
        'adamw', 'adamw for all, or muon for the matrices and adamw for the rest', choices=OPTIMIZERS
    )
    weight_decay: float = setting(1e-4, 'of the optimiser, on every trained parameter', minimum=0.0)
    clip: float = setting(0.1, 'largest norm of the gradient of a step; 0: not clipped', minimum=0.0)
    precision: str = setting('fp32', 'arithmetic of forward and backward', choices=('fp32', 'bf16'))
    compile: bool = setting(False, 'compile the network (a minute at start, then faster on a GPU)')
    ema_decay: float = setting(
        0.0,
        'the saved weights are an average over the past with this decay; 0: the last',
        minimum=0.0,
        maximum=1.0,
    )
    checkpoint_every: int = setting(1000, 'steps between two checkpoints', minimum=1)
    log_every: int = setting(50, 'steps between two rows of the log', minimum=1)
    seed: int = setting(0, 'of every random draw; each process adds its rank', minimum=0)

    def __post_init__(self) -> None:
        check(self)
        if self.steps == 0 and self.minutes == 0:
            raise SettingError('training: give steps, minutes or both, or it would never end')

    def share_done(self, step: int, seconds: float) -> float:
        """Part of the run that is done, 0 to 1: by steps or by time, whichever is further."""
        by_steps = step / self.steps if self.steps else 0.0
        by_time = seconds / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(by_steps, by_time))

    def lr_factor(self, step: int, share: float) -> float:
        """What the learning rates are multiplied with."""
        warmup = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        return warmup * (0.5 * (1 + math.cos(math.pi * share)) if self.schedule == 'cosine' else 1.0)


class _Step(nn.Module):
    """Objective and network as one module: data parallelism allows one forward per backward."""

    def __init__(self, network: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.network = network
        self.objective = objective

    def forward(self, batch: TrainingBatch, epoch: int) -> Loss:
        return self.objective(self.network, batch, epoch)


def train(
    model: Model,
    groups: list[dict[str, Any]],
    batches: BatchSource,
    objective: Objective,
    settings: TrainSettings,
    out: Path,
    save_model: Callable[[Model, Path], None],
    *,
    validate: Callable[[nn.Module, int], dict[str, float]] | None = None,
    resume: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, float]:
    """Train `model` in place; the last row of the log comes back.

    groups: optimiser groups with their `lr`. save_model writes the weights to ship to a path. validate:
    called after each epoch with these weights and the epoch, gives a row of validation.csv.
    Files in `out`: log.csv, model.safetensors (the averaged weights with `ema_decay`), state.pt to resume.
    Under torch.distributed (initialised by the caller) gradients are averaged over the processes, and the
    first one writes the files. With `ema_decay`, `model` holds the averaged weights at the end.
    TrainingError where the loss is not finite, or the state to resume does not fit.
    """
    device = next(model.parameters()).device
    rank = dist.get_rank() if dist.is_initialized() else 0
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed + rank)
    if device.type == 'cuda':
        torch.set_float32_matmul_precision('high')
        torch.backends.cudnn.benchmark = True

    parameters = [p for group in groups for p in group['params']]
    optimizers = make_optimizers(groups, settings.optimizer, settings.weight_decay, device)
    base_rates = [float(group['lr']) for each in optimizers for group in each.param_groups]
    average = None
    if settings.ema_decay:
        average = AveragedModel(
            model, multi_avg_fn=get_ema_multi_avg_fn(settings.ema_decay), use_buffers=True
        )

    first, before = 0, 0.0
    if resume and (out / STATE_FILE).exists():
        first, before = load_state(
            out / STATE_FILE, settings.steps_per_epoch, model, optimizers, average, device
        )
    elif rank == 0:
        for left in (STATE_FILE, VALIDATION_FILE):  # of an earlier run, which a later resume would take up
            (out / left).unlink(missing_ok=True)

    network = cast(nn.Module, torch.compile(model)) if settings.compile else model
    step_module: nn.Module = _Step(network, objective)
    if dist.is_initialized():
        # adapters of blocks without fusion never get a gradient
        step_module = DistributedDataParallel(step_module, find_unused_parameters=True)
    step_module.train()

    log = CsvLog(out / LOG_FILE, first) if rank == 0 else None
    validation_log = CsvLog(out / VALIDATION_FILE, first) if rank == 0 and validate is not None else None
    line = ProgressLine() if rank == 0 else None
    source = batches(first)
    started = clock()
    sums: dict[str, Tensor] = {}
    row: dict[str, float] = {}
    since, since_step = before, first
    step, share = first, settings.share_done(first, before)

    shipped = model if average is None else cast(Model, average.module)

    def save(seconds: float) -> None:
        random = random_state()
        if rank == 0:
            per_epoch = settings.steps_per_epoch
            save_state(out / STATE_FILE, step, seconds, per_epoch, model, optimizers, average, random)
            save_model(shipped, out / MODEL_FILE)

    try:
        while share < 1.0:
            rate = settings.lr_factor(step, share)
            trained = (group for each in optimizers for group in each.param_groups)
            for group, base in zip(trained, base_rates, strict=True):
                group['lr'] = base * rate
            batch = next(source)
            with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == 'bf16'):
                loss: Loss = step_module(batch, step // settings.steps_per_epoch + 1)
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss.total.backward()
            norm = nn.utils.clip_grad_norm_(parameters, settings.clip or math.inf)
            for optimizer in optimizers:
                optimizer.step()
            if average is not None:
                average.update_parameters(model)
            step += 1

            for name, value in {'loss': loss.total.detach(), **loss.terms, 'gradient_norm': norm}.items():
                sums[name] = sums[name] + value if name in sums else value
            seconds = before + clock() - started
            share = settings.share_done(step, seconds)
            if settings.minutes and dist.is_initialized():
                share = _of_first_process(share, device)
            # also before every checkpoint: what is not finite must not replace the last good one
            checkpoint = step % settings.checkpoint_every == 0 or share >= 1.0
            if step % settings.log_every == 0 or checkpoint:
                means = (torch.stack(list(sums.values())).float() / (step - since_step)).tolist()
                seconds = before + clock() - started
                world = dist.get_world_size() if dist.is_initialized() else 1
                speed = (step - since_step) * len(batch.box) * world / max(seconds - since, 1e-9)
                row = {
                    'step': step,
                    'epoch': (step - 1) // settings.steps_per_epoch + 1,
                    'seconds': seconds,
                    'lr': base_rates[0] * rate,
                    'samples_per_s': speed,
                    **dict(zip(sums, means, strict=True)),
                }
                wrong = [name for name in sums if not math.isfinite(row[name])]
                if 'loss' in wrong or 'gradient_norm' in wrong:
                    raise TrainingError(
                        f'near step {step} the loss is {row["loss"]}, the norm of its gradient '
                        f'{row["gradient_norm"]} (not finite: {", ".join(wrong)}); '
                        f'lower the learning rate, or resume from the last checkpoint in {out}'
                    )
                if log is not None and line is not None:
                    log.write(row)
                    line.show(share, seconds, row)
                sums, since, since_step = {}, seconds, step
            if validate is not None and step % settings.steps_per_epoch == 0:
                epoch, began = step // settings.steps_per_epoch, clock()
                with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == 'bf16'):
                    judged = {'step': step, 'epoch': epoch, **validate(shipped, epoch)}
                started += clock() - began  # it is no time of the training
                if validation_log is not None and line is not None:
                    validation_log.write(judged)
                    line.tell(f'validation after epoch {epoch}', judged)
            if checkpoint and share < 1.0:
                save(seconds)
    finally:
        if line is not None:
            line.close()
    if step > first:
        save(before + clock() - started)
    if average is not None:
        model.load_state_dict(average.module.state_dict())
    return row


def _of_first_process(share: float, device: torch.device) -> float:
    """Clocks differ a little, and all processes must stop at the same step."""
    value = torch.tensor(share, dtype=torch.float64, device=device)
    dist.broadcast(value, 0)
    return value.item()
