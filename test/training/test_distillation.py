"""Self-distillation against the published code, and what each option changes."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import synthetic
import torch

from sdstrack_ros.model import SDSTrack
from sdstrack_ros.model.network import adapter_parameter_groups
from sdstrack_ros.training.batch import TrainingBatch
from sdstrack_ros.training.distillation import (
    DistillationSettings,
    SelfDistillation,
    TokenMaskSet,
    complementary_masks,
    draw_masks,
    masked_loss,
    single_sensor_loss,
)
from sdstrack_ros.types import Mode

LOSS_TOLERANCE, GRADIENT_TOLERANCE = 5e-4, 1e-3
# AdamW's first step is as long for a gradient of 1e-9 as for one of 1, and the sign of the former is the
# processor's rounding: the loss after it was seen to differ by 6e-4 between two of them.
STEP_TOLERANCE = 2e-3
# Another matrix product may swap two tokens of nearly equal score, and tokens are compared by rank.
DISTILL_TOLERANCE = 5e-3
PUBLISHED = DistillationSettings()


@pytest.fixture(scope='module')
def kit(golden) -> tuple[TrainingBatch, TokenMaskSet]:
    """The batch and the masks of the goldens."""
    template, search = synthetic.net_input(synthetic.TRAIN_SEED, 2)
    draws = [torch.from_numpy(u) for u in synthetic.mask_uniforms(synthetic.TRAIN_SEED, 2)]
    template_masks = complementary_masks(draws[0], draws[1], PUBLISHED.mask_ratio)
    masks = TokenMaskSet(*template_masks, *complementary_masks(draws[2], draws[3], PUBLISHED.mask_ratio))
    box = torch.from_numpy(golden('training')['search_anno'][0])
    return TrainingBatch(torch.from_numpy(template), torch.from_numpy(search), box), masks


@pytest.fixture
def trained(published_model) -> SDSTrack:
    """A copy of the seeded ViT-B that may be changed, with its foundation frozen."""
    model = copy.deepcopy(published_model)
    model.freeze_foundation()
    return model


@pytest.fixture(scope='module')
def small(tiny) -> tuple[SDSTrack, TrainingBatch, TokenMaskSet]:
    torch.manual_seed(0)
    model = SDSTrack(tiny).eval()
    model.freeze_foundation()
    batch = TrainingBatch(
        torch.randn(3, 6, 32, 32), torch.randn(3, 6, 64, 64), torch.tensor([[0.3, 0.3, 0.4, 0.3]] * 3)
    )
    return model, batch, draw_masks(3, tiny, PUBLISHED, torch.device('cpu'))


def assert_losses(loss, golden: dict[str, np.ndarray]) -> None:
    assert loss.total.item() == pytest.approx(golden['loss'], abs=LOSS_TOLERANCE)
    assert loss.terms['distill'].item() == pytest.approx(golden['Loss_mse_m'], abs=DISTILL_TOLERANCE)
    for path in ('fine', 'masked'):
        for term in ('giou', 'l1', 'focal'):
            name = f'{path}_{term}'
            assert loss.terms[name].item() == pytest.approx(golden[name], abs=LOSS_TOLERANCE), name
        assert loss.terms[f'{path}_iou'].item() == pytest.approx(golden[f'{path}_iou'].mean(), abs=1e-4)


def test_masks_follow_the_published_draws(golden, kit):
    data = golden('training')
    for name, mask in zip(('rgb_z', 'x_z', 'rgb_x', 'x_x'), kit[1], strict=True):
        np.testing.assert_array_equal(np.packbits(mask.numpy()), data[f'mask_{name}'], name)


def test_losses_are_the_published_ones(golden, kit, trained):
    data = golden('training', 'ep40_')
    loss = masked_loss(trained, *kit, trained.config, PUBLISHED, float(data['keep_rate']))
    assert_losses(loss, data)


def test_gradients_and_one_step_are_the_published_ones(golden, kit, trained):
    data = golden('training', 'ep10_')
    keep_rate = float(data['keep_rate'])
    optimizer = torch.optim.AdamW(adapter_parameter_groups(trained, 5e-5), weight_decay=1e-4)
    loss = masked_loss(trained, *kit, trained.config, PUBLISHED, keep_rate)
    loss.total.backward()
    assert_losses(loss, data)
    parameters = dict(trained.named_parameters())
    without = {name for name, p in parameters.items() if p.requires_grad and p.grad is None}
    assert without == set(data['grad_none'])
    for name, norm in zip(data['grad_names'], data['grad_norms'], strict=True):
        assert parameters[name].grad.norm().item() == pytest.approx(norm, rel=GRADIENT_TOLERANCE), name
    for key in (key for key in data if key.startswith('grad_backbone')):
        gradient = parameters[key.removeprefix('grad_')].grad.numpy()
        np.testing.assert_allclose(gradient, data[key], atol=GRADIENT_TOLERANCE * np.abs(data[key]).max())
    torch.nn.utils.clip_grad_norm_([p for p in parameters.values() if p.requires_grad], 0.1)
    optimizer.step()
    after = masked_loss(trained, *kit, trained.config, PUBLISHED, keep_rate).total.item()
    assert after == pytest.approx(data['loss_after_one_step'], abs=STEP_TOLERANCE)


def test_masks_never_hide_a_place_in_both_streams(tiny):
    torch.manual_seed(1)
    masks = draw_masks(4000, tiny, PUBLISHED, torch.device('cpu'))
    for rgb, x in (masks[:2], masks[2:]):
        assert not (rgb & x).any()
        assert rgb.float().mean().item() == pytest.approx(0.30, abs=0.01)
        assert x.float().mean().item() == pytest.approx(0.21, abs=0.01)


def test_sensor_dropout_hides_one_whole_stream_and_none_of_the_other(tiny):
    torch.manual_seed(2)
    settings = DistillationSettings(sensor_dropout=0.5)
    masks = draw_masks(2000, tiny, settings, torch.device('cpu'))
    rgb = torch.cat((masks.template_rgb, masks.search_rgb), 1)
    x = torch.cat((masks.template_x, masks.search_x), 1)
    for lost, other in ((rgb, x), (x, rgb)):
        gone = lost.all(1)
        assert gone.float().mean().item() == pytest.approx(0.25, abs=0.03)
        assert not other[gone].any()


def test_both_paths_agree_where_nothing_is_masked(small, tiny):
    model, batch, masks = small
    clear = TokenMaskSet(*(torch.zeros_like(mask) for mask in masks))
    loss = masked_loss(model, batch, clear, tiny, PUBLISHED, None)
    assert loss.terms['distill'].item() == pytest.approx(0, abs=1e-9)
    assert loss.terms['fine_giou'].item() == pytest.approx(loss.terms['masked_giou'].item(), abs=1e-6)


def test_aligned_tokens_differ_less_and_equal_the_plain_loss_without_elimination(small, tiny):
    model, batch, masks = small
    aligned = DistillationSettings(align_tokens=True)
    with torch.no_grad():
        for keep_rate, equal in ((1.0, True), (0.7, False)):
            plain = masked_loss(model, batch, masks, tiny, PUBLISHED, keep_rate).terms['distill']
            better = masked_loss(model, batch, masks, tiny, aligned, keep_rate).terms['distill']
            if equal:
                torch.testing.assert_close(plain, better)
            else:
                assert better < 0.8 * plain


def test_alignment_compares_only_patches_that_both_paths_kept(small, tiny):
    """The masked path is a copy of the fine one, in reversed order, and with one patch that fine dropped."""
    model, batch, masks = small
    n_template, n_search = tiny.template_grid**2, tiny.search_grid**2

    def reversed_with_a_stranger(stream):
        search = stream[:, n_template:].flip(1)
        return torch.cat((stream[:, :n_template], search[:, :1] + 100, search[:, 1:]), 1)

    def network(*args, **kwargs):
        output = model(*args, **kwargs)
        tokens, kept = [], []
        for stage in output.fusion_tokens:
            fine = stage[: len(stage) // 2]
            masked = torch.cat([reversed_with_a_stranger(stream) for stream in fine.chunk(2, 1)], 1)
            tokens.append(torch.cat((fine, masked)))
        for places in output.kept:
            fine = places[:, : places.shape[1] // 2]
            alive = torch.zeros(*fine.shape[:2], n_search).scatter(2, fine, 1.0)
            masked = torch.cat((alive.argmin(2, keepdim=True), fine.flip(2)[:, :, 1:]), 2)
            kept.append(torch.cat((fine, masked), 1))
        return output._replace(fusion_tokens=tuple(tokens), kept=tuple(kept))

    for aligned in (True, False):
        settings = DistillationSettings(align_tokens=aligned)
        with torch.no_grad():
            distance = masked_loss(network, batch, masks, tiny, settings, 0.7).terms['distill'].item()
        assert (distance < 1e-10) == aligned


def test_stop_gradient_keeps_the_fine_path_out_of_the_disagreement(small, tiny):
    model, batch, masks = small
    alone = dataclasses.replace(PUBLISHED, fine_weight=0.0, masked_weight=0.0)
    everything = TokenMaskSet(*(torch.ones_like(mask) for mask in masks))
    seen = {}
    for stop in (False, True):
        model.zero_grad()
        settings = dataclasses.replace(alone, stop_gradient=stop)
        masked_loss(model, batch, everything, tiny, settings, 1.0).total.backward()
        weight = model.backbone.patch_embed_multimodal.proj.weight
        seen[stop] = 0.0 if weight.grad is None else weight.grad.abs().sum().item()
    # every token of the masked path is hidden, so only the fine path leads to the patch embedding
    assert seen[False] > 0
    assert seen[True] == 0


@pytest.mark.parametrize('mode', [Mode.RGB_ONLY, Mode.X_ONLY])
def test_single_sensor_path_trains_what_that_stream_uses(small, mode):
    model, batch, _ = small
    model.zero_grad()
    settings = DistillationSettings(fine_weight=0.0, stop_gradient=True)
    loss = single_sensor_loss(model, batch, mode, settings, None)
    loss.total.backward()
    adapter = model.backbone.blocks[0].Space_X_DTE_Adapter.D_fc1.weight.grad
    assert (adapter is not None and adapter.abs().sum().item() > 0) == (mode == Mode.X_ONLY)
    assert model.backbone.norm.weight.grad.abs().sum() > 0
    assert loss.terms['distill'] > 0


def test_without_a_masked_path_only_the_plain_loss_is_left(small, tiny):
    model, batch, _ = small
    settings = DistillationSettings(masked_weight=0.0, distill_weight=0.0)
    loss = SelfDistillation(tiny, settings)(model, batch, 1)
    assert set(loss.terms) == {'fine_giou', 'fine_l1', 'fine_focal', 'fine_iou'}


def test_the_keep_rate_follows_the_epoch(tiny, small):
    _, batch, _ = small
    asked = []

    def network(*args, keep_rate=None, **kwargs):
        asked.append(keep_rate)
        return small[0](*args, keep_rate=keep_rate, **kwargs)

    objective = SelfDistillation(tiny, keep_rates=(1.0, 0.9))
    for epoch in (1, 2, 3):
        objective(network, batch, epoch)
    assert asked == [1.0, 0.9, 0.9]
