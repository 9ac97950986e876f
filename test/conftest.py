"""Shared by all tests: the parity kit, and the ViT-B network with its seeded weights."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

PARITY = Path(__file__).parent / 'parity'
sys.path.insert(0, str(PARITY))


@pytest.fixture(scope='session')
def parity_dir() -> Path:
    """Where the goldens lie."""
    return PARITY


@pytest.fixture(scope='session')
def golden() -> Callable[..., dict[str, np.ndarray]]:
    """golden('forward_variants', 'nox_'): arrays of one file, those under a prefix, without it."""

    def load(name: str, prefix: str = '') -> dict[str, np.ndarray]:
        with np.load(PARITY / f'{name}.npz') as file:
            return {key.removeprefix(prefix): file[key] for key in file.files if key.startswith(prefix)}

    return load


@pytest.fixture(scope='session')
def seeded_state() -> dict:
    """State dict of the published network with the kit's weights."""
    import seeded_weights
    import torch

    from sdstrack_ros.model import SDSTrack

    with torch.device('meta'):
        state = SDSTrack().state_dict()
    return {key: torch.from_numpy(seeded_weights.value(key, tuple(v.shape))) for key, v in state.items()}


@pytest.fixture(scope='session')
def published_model(seeded_state):
    """ViT-B with the kit's weights, in eval mode. Shared: leave it as it is."""
    import torch

    from sdstrack_ros.model import SDSTrack

    with torch.device('meta'):
        model = SDSTrack()
    model.load_state_dict(seeded_state, strict=True, assign=True)
    return model.eval()
