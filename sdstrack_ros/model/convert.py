"""From a published pickle to safetensors, once and for all."""

from __future__ import annotations

from pathlib import Path

from ..errors import CheckpointError
from .network import SDSTrack


def convert(source: str | Path, target: str | Path) -> SDSTrack:
    """Read what `SDSTrack.from_checkpoint` reads and write it as safetensors; returns the network.

    CheckpointError where the source is unsafe, damaged or misfit, or the target has another suffix.
    """
    if Path(target).suffix != '.safetensors':
        raise CheckpointError(
            f'{target}: the output is safetensors; give it a name that ends with .safetensors'
        )
    model = SDSTrack.from_checkpoint(source)
    model.save(target)
    return model
