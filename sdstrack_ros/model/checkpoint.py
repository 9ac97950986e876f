"""Weights in files: the published pickles in, safetensors in and out, and what is wrong with a file.

Our files are safetensors with the network's config in the metadata, in three kinds: the whole network, the
frozen foundation that the modalities share, and the adapters of one modality. What no network reads (see
`is_unused_key`) is left out of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor

from ..errors import CheckpointError
from .config import SDSTrackConfig
from .pickles import listed, read_torch_file

UNUSED_TABLES = ('cls_token', 'pos_embed', 'pos_embed_z_z_dte', 'pos_embed_x_x_dte')
_FUSION_ADAPTER = re.compile(r'backbone\.blocks\.(\d+)\..*_X_X_DTE_Adapter\.')


class Checkpoint(NamedTuple):
    """What a file holds; `config` is None for the pickles, which do not tell theirs."""

    config: SDSTrackConfig | None
    tensors: dict[str, Tensor]


def is_adapter_key(name: str) -> bool:
    """Whether a tensor belongs to the part that is trained per modality."""
    return 'Adapter' in name or 'multimodal' in name or name.startswith('backbone.norm.')


def is_unused_key(name: str, config: SDSTrackConfig) -> bool:
    """Whether a tensor of the published format is never read: old tables, fusion adapters without fusion."""
    adapter = _FUSION_ADAPTER.match(name)
    if adapter is not None:
        return int(adapter[1]) not in config.fusion_blocks
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
        checkpoint = _read_safetensors(path)
    else:
        checkpoint = Checkpoint(None, {key: _single(value) for key, value in read_torch_file(path).items()})
    spoilt = [key for key, value in checkpoint.tensors.items() if not value.isfinite().all()]
    if spoilt:
        raise CheckpointError(f'{path}: infinite or no numbers in {listed(spoilt)}; make it anew')
    return checkpoint


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safetensors.safe_open(path, framework='pt') as file:
            metadata = file.metadata() or {}
            # copied: a tensor is a view of the file, and would change or vanish with it
            tensors = {key: _single(file.get_tensor(key), copy=True) for key in file.keys()}  # noqa: SIM118
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


def _single(tensor: Tensor, copy: bool = False) -> Tensor:
    return tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=copy)


def write_checkpoint(
    path: str | Path, tensors: Mapping[str, Tensor], config: SDSTrackConfig, half: bool = False
) -> None:
    """Write safetensors, as float16 where `half`. The file appears whole or not at all.

    CheckpointError where it cannot be written, or float16 cannot hold a value.
    """
    path = Path(path)
    ready = {
        key: (value.half() if half and value.is_floating_point() else value).detach().cpu().contiguous()
        for key, value in tensors.items()
    }
    too_large = [key for key in ready if tensors[key].isfinite().all() and not ready[key].isfinite().all()]
    if too_large:
        raise CheckpointError(f'{path}: too large for float16: {listed(too_large)}; save it as float32')
    unfinished = path.with_name(path.name + '.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(ready, unfinished, metadata={'format': 'pt', 'config': config.to_json()})
        os.replace(unfinished, path)
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f'{path}: cannot be written ({error}); choose another place') from error


def check_keys(path: str | Path, expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    """CheckpointError naming missing, unexpected and misshapen keys, where there are any.

    expected: tensors of the shapes and kinds that are wanted, maybe on the meta device.
    """
    missing = sorted(expected.keys() - tensors.keys())
    unexpected = sorted(tensors.keys() - expected.keys())
    known = {key: (value, expected[key]) for key, value in tensors.items() if key in expected}
    misshapen = [
        f'{key} is {tuple(value.shape)}, expected {tuple(like.shape)}'
        for key, (value, like) in known.items()
        if value.shape != like.shape
    ]
    mistyped = [
        f'{key} is {value.dtype}'
        for key, (value, like) in known.items()
        if value.is_floating_point() != like.is_floating_point()
    ]
    kinds = {'missing': missing, 'unexpected': unexpected, 'misshapen': misshapen, 'mistyped': mistyped}
    problems = [f'{len(keys)} {kind}: {listed(keys)}' for kind, keys in kinds.items() if keys]
    if problems:
        raise CheckpointError(
            f'{path} does not fit the network: {"; ".join(problems)}. '
            f'Give the checkpoint of an SDSTrack of this architecture'
        )
