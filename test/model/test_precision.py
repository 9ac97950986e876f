"""Fewer bits: nearly the same answers, and auto takes only what the weights are known to bear."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sdstrack_ros.errors import CheckpointError, SettingError
from sdstrack_ros.model import Calibration, SDSTrack, SDSTrackConfig, initialise_foundation, precision
from sdstrack_ros.model.config import PRECISIONS
from sdstrack_ros.model.precision import at_precision, available_precisions, compiled
from sdstrack_ros.types import Mode

SMALL = SDSTrackConfig(
    dim=96,
    depth=3,
    heads=3,
    template_size=48,
    search_size=96,
    fusion_blocks=(1, 2),
    elimination_blocks=(),
    head_channels=16,
)
TRUSTED = Calibration(uncertain=0.2, lost=0.1, precisions=('bf16', 'int8'))
MODES = (Mode.FUSED, Mode.RGB_ONLY, Mode.X_ONLY)


@pytest.fixture(scope='module')
def model() -> SDSTrack:
    torch.manual_seed(0)
    model = SDSTrack(SMALL)
    initialise_foundation(model)
    return model.eval()


def images() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randn(1, 6, side, side, generator=generator) for side in (48, 96))


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('name', PRECISIONS[1:])
def test_fewer_bits_say_nearly_the_same(model, name, mode):
    reduced, told = at_precision(model, name)
    assert told == name
    with torch.inference_mode():
        exact, rough = (each(*images(), mode=mode) for each in (model, reduced))
    assert rough.score_map.dtype == rough.size_map.dtype == torch.float32
    assert (
        torch.nn.functional.cosine_similarity(exact.tokens.flatten(), rough.tokens.float().flatten(), 0)
        > 0.999
    )
    assert (exact.tokens != rough.tokens.float()).any(), 'there is something to be seen of it'
    torch.testing.assert_close(rough.size_map, exact.size_map, atol=0.02, rtol=0)


def test_the_given_model_stays_exact(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for name in PRECISIONS:
        at_precision(model, name)
    for name, value in model.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name])


def test_auto_is_exact_unless_the_weights_are_known_to_bear_less(model):
    assert at_precision(model, 'auto') == (model, 'fp32')


@pytest.mark.parametrize('fastest', PRECISIONS)
def test_auto_takes_the_fastest_of_the_trusted(model, monkeypatch, fastest):
    trusted = SDSTrack(dataclasses.replace(SMALL, calibration=TRUSTED)).eval()
    seen = {}
    monkeypatch.setattr(precision, '_fastest', lambda variants: seen.update(variants) or fastest)
    chosen, told = at_precision(trusted, 'auto')
    assert set(seen) == set(PRECISIONS)
    assert told == fastest
    assert chosen is seen[fastest]


def test_the_fastest_is_measured(model):
    class Slow(torch.nn.Module):
        config = SMALL

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, *images):
            for _ in range(3):
                model(*images)
            return model(*images)

    assert precision._fastest({'slow': Slow(), 'quick': model}) == 'quick'


def test_precisions_travel_with_the_weights(tmp_path):
    SDSTrack(dataclasses.replace(SMALL, calibration=TRUSTED)).save(tmp_path / 'm.safetensors')
    assert SDSTrack.from_checkpoint(tmp_path / 'm.safetensors').config.calibration == TRUSTED


def test_unknown_precision_is_named(model):
    with pytest.raises(SettingError, match='fp8'):
        at_precision(model, 'fp8')


def test_what_is_to_be_compiled_is_never_int8(model, monkeypatch):
    with pytest.raises(SettingError, match='cannot be compiled'):
        at_precision(model, 'int8', compilable=True)
    trusted = SDSTrack(dataclasses.replace(SMALL, calibration=TRUSTED)).eval()
    monkeypatch.setattr(precision, '_fastest', lambda variants: 'int8' if 'int8' in variants else 'fp32')
    assert at_precision(trusted, 'auto', compilable=True)[1] == 'fp32'


def test_int8_is_for_cpus():
    assert available_precisions(torch.device('cuda')) == ('fp32', 'bf16')


def test_a_network_in_int8_is_not_saved_by_half(model, tmp_path):
    reduced, _ = at_precision(model, 'int8')
    with pytest.raises(CheckpointError, match='int8'):
        reduced.save(tmp_path / 'm.safetensors')


ON_AN_OLDER_CPU = """
import torch
from test_precision import SMALL, TRUSTED, dataclasses, images
from sdstrack_ros.model import SDSTrack, initialise_foundation
from sdstrack_ros.model.linear import Linear, has_bfloat16
from sdstrack_ros.model.precision import Int8Linear, at_precision

assert not has_bfloat16()
torch.manual_seed(0)
model = SDSTrack(dataclasses.replace(SMALL, calibration=TRUSTED))
initialise_foundation(model)
with torch.inference_mode():
    exact = model.eval()(*images()).size_map
    for precision in ('bf16', 'int8'):
        found = at_precision(model, precision)[0](*images()).size_map
        torch.testing.assert_close(found, exact, atol=0.02, rtol=0)
    layer, x = Linear(192, 64), torch.rand(8, 192)
    torch.nn.init.ones_(layer.weight)
    torch.testing.assert_close(Int8Linear(layer, False)(x), layer(x), atol=0.5, rtol=0.01)
assert at_precision(model, 'auto')[1] != 'bf16'
"""


def test_a_cpu_without_bfloat16_and_vnni_runs_every_precision():
    """The kernels of such a CPU, chosen by the libraries' own switches: most desktops have no others."""
    older = {
        'ONEDNN_MAX_CPU_ISA': 'AVX2',
        'ATEN_CPU_CAPABILITY': 'avx2',
        'PYTHONPATH': str(Path(__file__).parent),
    }
    done = subprocess.run(
        [sys.executable, '-c', ON_AN_OLDER_CPU], env=os.environ | older, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('mode', MODES)
def test_every_mode_is_one_graph(model, mode, monkeypatch):
    """As CUDA graphs need it: nothing in the network looks at a value from the host."""
    asked = {}

    def by_eager(module, **options):
        asked.update(options)
        return real(module, backend='eager', fullgraph=options['fullgraph'], dynamic=options['dynamic'])

    real = torch.compile
    monkeypatch.setattr(torch, 'compile', by_eager)
    graph = compiled(model)
    assert asked == {'mode': 'reduce-overhead', 'fullgraph': True, 'dynamic': False}
    with torch.inference_mode():
        found, expected = (each(*images(), mode=mode).score_map for each in (graph, model))
    torch.testing.assert_close(found, expected)
    assert graph.config == model.config
