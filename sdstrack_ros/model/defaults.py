"""The weights that ship: one small foundation, and a set of adapters per modality."""

from __future__ import annotations

from pathlib import Path

import torch

from ..errors import CheckpointError, SettingError
from ..share import share_folders
from ..types import Modality
from .network import SDSTrack

FOUNDATION = 'nano_foundation.safetensors'


def load_default(modality: str | Modality, device: str | torch.device = 'cpu') -> SDSTrack:
    """The shipped network for 'depth', 'thermal' or 'event', in eval mode.

    Raises SettingError for another modality, CheckpointError where the weights are not installed.
    """
    names = [each.value for each in Modality]
    if modality not in names:
        raise SettingError(f'modality: {modality!r} is not one of {", ".join(names)}')
    adapters = f'nano_{Modality(modality).value}.safetensors'
    folders = weight_folders()
    for folder in folders:
        if (folder / FOUNDATION).is_file() and (folder / adapters).is_file():
            model = SDSTrack.from_foundation(folder / FOUNDATION)
            model.load_adapters(folder / adapters)
            return model.eval().to(device)
    raise CheckpointError(
        f'no default weights: {FOUNDATION} and {adapters} are together in none of '
        f'{", ".join(map(str, folders))}; install the package with its models, or name a checkpoint'
    )


def weight_folders() -> list[Path]:
    """Where weights may lie, the first place first."""
    return [folder / 'models' for folder in share_folders()]
