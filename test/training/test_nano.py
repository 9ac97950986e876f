"""The recipe of the weights that ship, end to end on a tiny network and a few steps."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from sdstrack_ros.errors import SettingError
from sdstrack_ros.model import Calibration, SDSTrack, SDSTrackConfig, initialise_foundation
from sdstrack_ros.model.config import PRECISIONS
from sdstrack_ros.simulation.library import procedural_library
from sdstrack_ros.simulation.pairs import PairSource
from sdstrack_ros.training import nano, trust
from sdstrack_ros.training.nano_command import train_nano
from sdstrack_ros.types import Modality, Mode

TINY = SDSTrackConfig(
    dim=48,
    depth=2,
    heads=3,
    template_size=32,
    search_size=64,
    fusion_blocks=(0, 1),
    elimination_blocks=(),
    head_channels=16,
)


@pytest.fixture(scope='module')
def library():
    return procedural_library(0, plates=3, sprites=6)


@pytest.fixture(autouse=True)
def short_videos(monkeypatch) -> None:
    """As many and as long as the recipe has them, they take minutes."""
    monkeypatch.setattr(nano, 'trusted_precisions', partial(trust.trusted_precisions, seeds=(0,), frames=6))


def test_both_stages_write_weights_that_load_as_one_network(library, tmp_path) -> None:
    settings = nano.NanoSettings(
        batch=8,
        foundation_minutes=0.02,
        shared_minutes=0.02,
        adapter_minutes=0.02,
        precision='fp32',
        compile=False,
    )
    nano.make_nano(library, settings, tmp_path, TINY)

    model = SDSTrack.from_foundation(tmp_path / 'nano_foundation.safetensors')
    rgb = {k: v.clone() for k, v in model.state_dict().items() if 'blocks.0.attn' in k}
    for modality in Modality:
        model.load_adapters(tmp_path / f'nano_{modality.value}.safetensors')
        assert isinstance(model.config.calibration, Calibration)
        out = model(torch.zeros(1, 6, 32, 32), torch.zeros(1, 6, 64, 64))
        assert out.score_map.shape == (1, 1, 4, 4)
    for key, value in rgb.items():
        assert torch.equal(model.state_dict()[key], value), 'adapters leave the foundation as it is'


def test_resume_keeps_stages_that_are_done_and_a_new_run_none(library, tmp_path, monkeypatch) -> None:
    settings = nano.NanoSettings(
        batch=8,
        foundation_minutes=0.01,
        shared_minutes=0.01,
        adapter_minutes=0.01,
        precision='fp32',
        compile=False,
    )
    nano.make_nano(library, settings, tmp_path, TINY)
    before = (tmp_path / 'nano_depth.safetensors').stat().st_mtime_ns
    nano.make_nano(library, settings, tmp_path, TINY, resume=True)
    assert (tmp_path / 'nano_depth.safetensors').stat().st_mtime_ns == before
    # stopped in its first stage and resumed, it would else stand on stages of the run before
    monkeypatch.setattr(nano, 'train_foundation', lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        nano.make_nano(library, settings, tmp_path, TINY)
    assert not [*tmp_path.glob('*/done'), *tmp_path.glob('*/state.pt')]


def test_foundation_learns_without_ever_reading_x(library) -> None:
    torch.manual_seed(0)
    model = SDSTrack(TINY)
    initialise_foundation(model)
    pair = PairSource(library, None, nano.nano_pairs(config=TINY), 0).draw(4)
    spoiled = pair._replace(template=pair.template.clone(), search=pair.search.clone())
    spoiled.template[:, 3:] = torch.nan
    spoiled.search[:, 3:] = torch.nan
    loss = nano.rgb_objective(model, nano.TrainingBatch(*spoiled), 1)
    assert torch.isfinite(loss.total)


def test_a_run_can_go_on_from_an_earlier_one(library, tmp_path) -> None:
    settings = nano.NanoSettings(
        batch=4,
        foundation_minutes=0.002,
        foundation_lr=0.0,
        adapter_minutes=0.0,
        precision='fp32',
        compile=False,
    )
    start, out = tmp_path / 'start', tmp_path / 'out'
    start.mkdir()
    torch.manual_seed(7)
    earlier = SDSTrack(TINY)
    earlier.save(start / 'nano_foundation.safetensors', 'foundation')
    for modality in Modality:
        earlier.save(start / f'nano_{modality.value}.safetensors', 'adapters')
    nano.make_nano(library, settings, out, start=start)
    gone_on = SDSTrack.from_foundation(out / 'nano_foundation.safetensors')
    gone_on.load_adapters(out / 'nano_event.safetensors')
    for key in ('attn.qkv.weight', 'Space_X_DTE_Adapter.D_fc1.weight'):
        key = f'backbone.blocks.0.{key}'
        torch.testing.assert_close(
            gone_on.state_dict()[key], earlier.state_dict()[key], atol=1e-3, rtol=1e-2, msg=key
        )
    assert not (out / 'shared').exists()


def test_modalities_take_turns_where_they_were_left(library) -> None:
    def looks(step: int) -> list[torch.Tensor]:
        batches = nano.RenderedBatches(library, tuple(Modality), nano.nano_pairs(config=TINY), 4, 0)(step)
        return [next(batches).search[:, 3:] for _ in range(3)]

    # of the three only depth is coloured; events are red and blue on white, heat is grey
    grey = [
        all(
            torch.allclose(x[:, i] * s + m, x[:, 0] * 0.229 + 0.485, atol=1e-4)
            for i, s, m in ((1, 0.224, 0.456), (2, 0.225, 0.406))
        )
        for x in looks(0) + looks(1)
    ]
    assert grey == [False, True, False, True, False, False]


def test_calibration_lies_between_nothing_and_a_find(library) -> None:
    """A network that says 0.9 where there is a target and 0.1 elsewhere gets limits between the two."""

    class Oracle(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config, self.pairs = TINY, []

        def forward(self, template, search, mode=Mode.FUSED):
            pair = self.pairs.pop()
            grid = TINY.search_grid
            center = pair.box[:, :2] + 0.5 * pair.box[:, 2:]
            cell = (center * grid).long().clamp(0, grid - 1)
            score = torch.full((len(center), 1, grid, grid), 0.1)
            rows = torch.arange(len(center))
            score[rows, 0, cell[:, 1], cell[:, 0]] = torch.where(pair.present, 0.9, 0.1)
            offset = (center * grid - cell)[..., None, None].expand(-1, 2, grid, grid)
            size = pair.box[:, 2:, None, None].expand(-1, 2, grid, grid)
            from sdstrack_ros.model import TrackerOutput

            return TrackerOutput(score, size, offset, torch.empty(0), (), ())

    oracle = Oracle()

    class Source:
        inner = PairSource(library, None, replace(nano.nano_pairs(config=TINY), absent=0.5), 0)

        def draw(self, batch):
            pair = self.inner.draw(batch)
            oracle.pairs.append(pair)
            return pair

    uncertain, lost = trust.score_limits(oracle, Source(), batches=2, batch=16)
    assert 0.1 <= lost < uncertain < 0.9


@pytest.mark.parametrize('same', [True, False])
def test_only_precisions_that_keep_the_boxes_are_trusted(monkeypatch, same) -> None:
    torch.manual_seed(0)
    model, other = SDSTrack(TINY), SDSTrack(TINY)
    for each in (model, other):
        initialise_foundation(each)
        each.eval()
    monkeypatch.setattr(trust, 'at_precision', lambda exact, name: (model if same else other, name))
    trusted = trust.trusted_precisions(model, Modality.DEPTH, seeds=(0,), frames=6)
    assert trusted == (PRECISIONS[1:] if same else ())


def test_precisions_that_the_machine_lacks_are_not_trusted(monkeypatch) -> None:
    monkeypatch.setattr(trust, 'available_precisions', lambda device: ('fp32', 'bf16'))
    monkeypatch.setattr(trust, 'at_precision', lambda exact, name: (exact, name))
    model = SDSTrack(TINY).eval()
    assert trust.trusted_precisions(model, Modality.DEPTH, seeds=(0,), frames=6) == ('bf16',)


def test_several_processes_are_refused(monkeypatch) -> None:
    """They would all learn from the same pairs, and write the same files."""
    monkeypatch.setenv('WORLD_SIZE', '2')
    with pytest.raises(SettingError, match='without torchrun'):
        train_nano(None)
