"""Where a network runs."""

from __future__ import annotations

import torch

from ..errors import SettingError


def choose_device(wanted: str) -> torch.device:
    """`auto` is CUDA where there is one, else the CPU. Raises SettingError where there is no such device."""
    if wanted == 'auto':
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise SettingError(f'device: {wanted!r} is none; use auto, cpu, cuda or cuda:N') from None
    if device.type not in ('cpu', 'cuda'):
        raise SettingError(f'device: {wanted!r} is not supported; use auto, cpu, cuda or cuda:N')
    if device.type == 'cuda' and (device.index or 0) >= torch.cuda.device_count():
        raise SettingError(
            f'device: {wanted!r} is not there ({torch.cuda.device_count()} CUDA devices); use auto or cpu'
        )
    return device
