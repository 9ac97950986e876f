"""Reads the tensors of a `torch.save` file without running anything that the file names.

Published checkpoints are pickles that mention classes of the authors' own training code beside the weights.
Here a pickle can reach only what rebuilds plain tensors; every other name becomes an inert object that
accepts whatever is done to it and does nothing.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError

SHOWN_KEYS = 5


def listed(keys: Iterable[str]) -> str:
    """The first few, and how many more there are."""
    names = list(keys)
    rest = f' and {len(names) - SHOWN_KEYS} more' if len(names) > SHOWN_KEYS else ''
    return f'{", ".join(names[:SHOWN_KEYS])}{rest}'


class _Inert:
    """Stands for any foreign object in a pickle."""

    def __new__(cls, *_args: Any, **_kwargs: Any) -> _Inert:
        return object.__new__(cls)

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        pass

    def _ignore(self, *_args: Any, **_kwargs: Any) -> None:
        pass

    def __call__(self, *_args: Any, **_kwargs: Any) -> _Inert:
        return self

    __setstate__ = __setitem__ = append = extend = add = _ignore


class _Rebuild:
    """One permitted function; wrapped, because a pickle could otherwise set attributes on it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, _state: Any) -> None:
        raise pickle.UnpicklingError('a state for a function')


_PERMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ('collections', 'OrderedDict'): OrderedDict,
    ('torch._utils', '_rebuild_tensor_v2'): torch._utils._rebuild_tensor_v2,
    ('torch._utils', '_rebuild_parameter'): torch._utils._rebuild_parameter,
}


class Unpickler(pickle.Unpickler):
    """What `torch.load` is given in place of the standard one; it adds only the storage types itself."""

    def find_class(self, module: str, name: str) -> Any:
        function = _PERMITTED.get((module, name))
        return _Inert if function is None else _Rebuild(function)


def read_torch_file(path: Path) -> dict[str, Tensor]:
    """The state dict under 'net' of a `torch.save` file; CheckpointError where there is none."""
    try:
        content = _read_archive(path) if zipfile.is_zipfile(path) else _read_old_format(path)
    except CheckpointError:
        raise
    # a damaged pickle can make the unpickler or torch fail in any way
    except Exception as error:
        raise CheckpointError(
            f'{path}: damaged, or not a checkpoint ({type(error).__name__}: {error}); copy it again'
        ) from error
    if not isinstance(content, Mapping) or not isinstance(content.get('net'), Mapping):
        found = listed(map(repr, content)) if isinstance(content, Mapping) else type(content).__name__
        raise CheckpointError(
            f"{path}: no state dict under 'net' (found: {found}); not a tracker's checkpoint"
        )
    net = content['net']
    foreign = [key for key, value in net.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if foreign:
        raise CheckpointError(
            f"{path}: {len(foreign)} entries under 'net' are no tensors, such as {foreign[0]!r}"
        )
    return {key: value.detach() for key, value in net.items()}


def _read_archive(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        names, damaged = archive.namelist(), archive.testzip()
    if damaged is not None:
        raise CheckpointError(f'{path}: damaged, {damaged} has a wrong checksum; copy it again')
    if any(name.endswith('constants.pkl') for name in names):
        raise CheckpointError(
            f'{path}: a TorchScript program, not a checkpoint; give the file of the weights'
        )
    return torch.load(path, map_location='cpu', weights_only=False, pickle_module=_PickleModule)


def _read_old_format(path: Path) -> Any:
    """Files from before torch 1.6 take a loader with more reach, so only what torch itself calls safe."""
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f'{path}: truncated, no checkpoint, or from before torch 1.6 with foreign classes; '
            f'copy it again, or save it anew with a current torch'
        ) from error


class _PickleModule:
    """The face of `pickle` that `torch.load` asks for."""

    __name__ = 'sdstrack_ros.model.pickles'
    Unpickler = Unpickler
