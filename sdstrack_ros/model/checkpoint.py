"""Weights in files: the published pickles in, safetensors in and out, and what is wrong with a file.

Our files are safetensors with the network's config in the metadata, in three kinds: the whole network, the
frozen foundation that the modalities share, and the adapters of one modality. What no network reads (see
`is_unused_key`) is left out of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor

from ..errors import CheckpointError
from .config import SDSTrackConfig
from .pickles import read_torch_file

UNUSED_TABLES = ('cls_token', 'pos_embed', 'pos_embed_z_z_dte', 'pos_embed_x_x_dte')
SHOWN_KEYS = 5


class Checkpoint(NamedTuple):
    """What a file holds; `config` is None for the pickles, which do not tell theirs."""

    config: SDSTrackConfig | None
    tensors: dict[str, Tensor]


def is_adapter_key(name: str) -> bool:
    """Whether a tensor belongs to the part that is trained per modality."""
    return 'Adapter' in name or 'multimodal' in name or name.startswith('backbone.norm.')


def is_unused_key(name: str, config: SDSTrackConfig) -> bool:
    """Whether a tensor of the published format is never read: old tables, fusion adapters without fusion."""
    if '_X_X_DTE_Adapter.' in name:
        return int(name.split('.')[2]) not in config.fusion_blocks
    return name.removeprefix('backbone.') in UNUSED_TABLES


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read safetensors of ours, or a published `torch.save` file, told apart by their content.

    Tensors come back on the CPU, floating ones as float32. CheckpointError names the file and the fix.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f'{path}: no such file; check what names the checkpoint')
    with path.open('rb') as file:
        start = file.read(9)
    if len(start) == 9 and start[8:] == b'{':  # header length in 8 bytes, then JSON
        return _read_safetensors(path)
    tensors = read_torch_file(path)
    return Checkpoint(None, {key: _single(value) for key, value in tensors.items()})


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safetensors.safe_open(path, framework='pt') as file:
            metadata = file.metadata() or {}
            tensors = {key: _single(file.get_tensor(key)) for key in file.keys()}  # noqa: SIM118, not a mapping
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f'{path}: damaged safetensors ({error}); copy it again') from error
    if 'config' not in metadata:
        raise CheckpointError(
            f'{path}: these safetensors hold no network config; make them with `sdstrack convert`'
        )
    try:
        return Checkpoint(SDSTrackConfig.from_json(metadata['config']), tensors)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from error


def _single(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def write_checkpoint(
    path: str | Path, tensors: Mapping[str, Tensor], config: SDSTrackConfig, half: bool = False
) -> None:
    """Write safetensors, as float16 where `half`. The file appears whole or not at all."""
    path = Path(path)
    ready = {
        key: (value.half() if half and value.is_floating_point() else value).detach().cpu().contiguous()
        for key, value in tensors.items()
    }
    unfinished = path.with_name(path.name + '.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(ready, unfinished, metadata={'format': 'pt', 'config': config.to_json()})
        os.replace(unfinished, path)
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f'{path}: cannot be written ({error}); choose another place') from error


def check_keys(path: str | Path, expected: Mapping[str, torch.Size], tensors: Mapping[str, Tensor]) -> None:
    """CheckpointError naming missing, unexpected and misshapen keys, where there are any."""
    misshapen = [
        f'{key} is {tuple(value.shape)}, expected {tuple(expected[key])}'
        for key, value in tensors.items()
        if key in expected and value.shape != expected[key]
    ]
    problems = [
        _listed('missing', sorted(expected.keys() - tensors.keys())),
        _listed('unexpected', sorted(tensors.keys() - expected.keys())),
        _listed('misshapen', misshapen),
    ]
    if any(problems):
        raise CheckpointError(
            f'{path} does not fit the network: {"; ".join(filter(None, problems))}. '
            f'Give the checkpoint of an SDSTrack of this architecture'
        )


def _listed(what: str, keys: list[str]) -> str:
    if not keys:
        return ''
    rest = f' and {len(keys) - SHOWN_KEYS} more' if len(keys) > SHOWN_KEYS else ''
    return f'{len(keys)} {what}: {", ".join(keys[:SHOWN_KEYS])}{rest}'
