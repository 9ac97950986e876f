"""The network against the outputs of the published code for seeded weights."""

from __future__ import annotations

import json

import numpy as np
import pytest
import synthetic
import torch
from torch.utils.flop_counter import FlopCounterMode

from sdstrack_ros.model import (
    SDSTrack,
    SDSTrackConfig,
    adapter_parameter_groups,
    decode,
    initialise_foundation,
)
from sdstrack_ros.model.network import TrackerOutput
from sdstrack_ros.types import Mode

TOLERANCE = 1e-4
SMALL = SDSTrackConfig(
    dim=48,
    depth=4,
    heads=3,
    template_size=48,
    search_size=96,
    fusion_blocks=(1, 3),
    elimination_blocks=(1, 2),
    head_channels=16,
)


def small_model(seed: int = 0) -> SDSTrack:
    torch.manual_seed(seed)
    return SDSTrack(SMALL).eval()


def small_input(batch: int = 2, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    template, search = synthetic.net_input(seed, batch, SMALL.template_size, SMALL.search_size)
    return torch.from_numpy(template), torch.from_numpy(search)


def assert_matches(out: TrackerOutput, golden: dict[str, np.ndarray]) -> None:
    for name in ('score_map', 'size_map', 'offset_map'):
        np.testing.assert_allclose(getattr(out, name).numpy(), golden[name], atol=TOLERANCE, rtol=0)
    boxes, _ = decode(out.score_map, out.size_map, out.offset_map)
    np.testing.assert_allclose(boxes.numpy(), golden['pred_boxes'], atol=TOLERANCE, rtol=0)
    tokens = out.tokens.double()
    np.testing.assert_allclose(tokens.norm(dim=-1).numpy(), golden['feat_token_l2'], rtol=TOLERANCE)
    np.testing.assert_allclose(tokens.mean(1).numpy(), golden['feat_channel_mean'], atol=TOLERANCE, rtol=0)
    for block, kept in zip((3, 6, 9), out.kept, strict=True):
        for stream, name in enumerate(('rgb', 'x')):
            expected = golden.get(f'keep_b{block}_{name}', np.arange(256)[None].repeat(kept.shape[1], 0))
            # as sets: neighbours in the order may be closer than rounding, the cut is not
            np.testing.assert_array_equal(kept[stream].sort(-1).values.numpy(), np.sort(expected))


def test_state_dict_is_the_published_one(parity_dir):
    with torch.device('meta'):
        state = SDSTrack().state_dict()
    spec = json.loads((parity_dir / 'state_dict_spec.json').read_text())
    assert {key: list(value.shape) for key, value in state.items()} == {key: v[0] for key, v in spec.items()}
    assert {str(v.dtype).removeprefix('torch.') for v in state.values()} == {v[1] for v in spec.values()}


def test_trainable_part_is_the_published_one(parity_dir):
    with torch.device('meta'):
        model = SDSTrack()
    model.freeze_foundation()
    spec = json.loads((parity_dir / 'state_dict_spec.json').read_text())
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert set(trained) == {key for key, v in spec.items() if v[2] not in ('frozen', 'buffer')}
    full, slow = adapter_parameter_groups(model, lr=1.0)
    assert (full['lr'], slow['lr']) == (1.0, 0.1)
    assert sum(p.numel() for p in full['params']) == 14_792_448
    assert sum(p.numel() for p in slow['params']) == 1_536


def test_forward_parity_block_by_block(published_model, golden):
    expected = golden('forward_seed18')
    blocks = published_model.backbone.blocks
    seen = {}

    def record(index):
        return lambda _module, _inputs, output: seen.__setitem__(index, output[0])

    hooks = [block.register_forward_hook(record(i)) for i, block in enumerate(blocks)]
    template, search = map(torch.from_numpy, synthetic.net_input(18))
    with torch.inference_mode():
        out = published_model(template, search, collect=True)
    for hook in hooks:
        hook.remove()
    assert_matches(out, expected)
    np.testing.assert_allclose(out.tokens[:, :, ::8].numpy(), expected['feat_ch8'], atol=TOLERANCE, rtol=0)
    parts = {f'blk{i:02d}_rgb': tokens[:1] for i, tokens in seen.items()}
    parts |= {f'blk{i:02d}_dte': tokens[1:] for i, tokens in seen.items()}
    parts |= {f'blk{i:02d}_rgb_dte': t for i, t in zip((3, 6, 9, 11), out.fusion_tokens, strict=True)}
    for name, tokens in parts.items():
        assert tokens.shape[1] == expected[f'{name}_len']
        np.testing.assert_allclose(tokens.mean(1).numpy(), expected[f'{name}_mean'], atol=TOLERANCE, rtol=0)
        np.testing.assert_allclose(tokens.double().norm().item(), expected[f'{name}_l2'], rtol=TOLERANCE)


@pytest.mark.parametrize('variant', ['b3', 'noce', 'kr085', 'nox', 'norgb'])
def test_variant_parity(published_model, golden, variant):
    seeds = synthetic.FORWARD_SEEDS if variant == 'b3' else (synthetic.VARIANT_SEEDS[variant],)
    pairs = [synthetic.net_input(seed) for seed in seeds]
    template, search = (torch.from_numpy(np.concatenate(images)) for images in zip(*pairs, strict=True))
    absent = {'nox': slice(3, 6), 'norgb': slice(0, 3)}.get(variant, slice(0, 0))
    template[:, absent] = 0.0
    search[:, absent] = 0.0
    with torch.inference_mode():
        out = published_model(template, search, keep_rate={'noce': 1.0, 'kr085': 0.85}.get(variant))
    assert_matches(out, golden('forward_variants', f'{variant}_'))


def test_elimination_by_all_template_tokens(seeded_state, golden):
    with torch.device('meta'):
        model = SDSTrack(SDSTrackConfig(elimination_query='template')).eval()
    model.load_state_dict(seeded_state, assign=True)
    template, search = map(torch.from_numpy, synthetic.net_input(synthetic.VARIANT_SEEDS['nomask']))
    with torch.inference_mode():
        assert_matches(model(template, search), golden('forward_variants', 'nomask_'))


@pytest.mark.parametrize(('mode', 'absent'), [(Mode.RGB_ONLY, slice(3, 6)), (Mode.X_ONLY, slice(0, 3))])
def test_single_modes_read_one_stream_only(mode, absent):
    model, (template, search) = small_model(), small_input()
    used: set[str] = set()
    for name, module in model.named_modules():
        module.register_forward_pre_hook(lambda _module, _inputs, name=name: used.add(name))
    with torch.inference_mode():
        expected = model(template, search, mode=mode)
        template[:, absent] = torch.nan
        search[:, absent] = torch.nan
        out = model(template, search, mode=mode)
    assert torch.equal(out.tokens, expected.tokens)
    assert out.score_map.isfinite().all()
    assert {kept.shape[0] for kept in out.kept} == {1}
    own_adapters = {name for name in used if '_X_DTE_Adapter' in name and '_X_X_' not in name}
    assert bool(own_adapters) == (mode == Mode.X_ONLY)
    assert not {name for name in used if '_X_X_DTE_Adapter' in name}, 'a single stream has nothing to fuse'
    assert (
        'backbone.patch_embed_multimodal' in used if mode == Mode.X_ONLY else 'backbone.patch_embed' in used
    )


def test_rgb_only_costs_less_than_half_of_fused():
    model, inputs = small_model(), small_input(1)
    cost = {}
    for mode in (Mode.FUSED, Mode.RGB_ONLY):
        with FlopCounterMode(display=False) as counter:
            model(*inputs, mode=mode)
        cost[mode] = counter.get_total_flops()
    assert cost[Mode.RGB_ONLY] < 0.5 * cost[Mode.FUSED]


def test_blind_mode_is_refused():
    with pytest.raises(ValueError, match='BLIND'):
        small_model()(*small_input(), mode=Mode.BLIND)


def test_masked_tokens_hide_the_picture():
    model, (template, search) = small_model(), small_input()
    all_of = {n: torch.ones(2, n**2) for n in (SMALL.template_grid, SMALL.search_grid)}
    masks = (None, all_of[SMALL.template_grid], None, all_of[SMALL.search_grid])
    with torch.inference_mode():
        hidden = model(template, search, token_masks=masks).tokens
        template[:, 3:] += 1.0
        search[:, 3:] = torch.nan
        assert torch.equal(model(template, search, token_masks=masks).tokens, hidden)
        search[:, 3:] = 0.0
        unmasked = model(template, search).tokens
    assert not torch.allclose(unmasked, hidden)


def test_samples_of_a_batch_do_not_mix():
    model, (template, search) = small_model(), small_input(3)
    with torch.inference_mode():
        together = model(template, search)
        alone = model(template[1:2], search[1:2])
    torch.testing.assert_close(together.score_map[1:2], alone.score_map, atol=1e-6, rtol=1e-5)
    for both, one in zip(together.kept, alone.kept, strict=True):
        assert torch.equal(both[:, 1:2], one)


def test_kept_and_collected_tokens():
    out = small_model()(*small_input(), collect=True)
    assert [tuple(kept.shape) for kept in out.kept] == [(2, 2, 26), (2, 2, 19)]  # of 36, at 0.7 each
    assert [tuple(tokens.shape) for tokens in out.fusion_tokens] == [(2, 70, 48), (2, 56, 48)]
    raster = small_model()(*small_input(), keep_rate=1.0).kept[-1]
    assert torch.equal(raster, torch.arange(36).expand(2, 2, 36))


def test_stochastic_depth_spares_the_first_block_and_is_off_in_eval():
    model, inputs = small_model(), small_input()
    assert torch.equal(model(*inputs).tokens, model(*inputs).tokens)
    model.train()
    rates = [block.drop_rate for block in model.backbone.blocks]
    assert rates == pytest.approx([0.0, 0.1 / 3, 0.2 / 3, 0.1])
    for block in model.backbone.blocks:
        block.drop_rate = 0.5
    tokens = torch.ones(2000, 3, SMALL.dim)
    with torch.no_grad():
        kept = model.backbone.blocks[1]._drop(tokens)
        paired = model.backbone.blocks[1]._drop(tokens, together=2)
    assert set(kept.unique().tolist()) == {0.0, 2.0}
    assert kept.mean().item() == pytest.approx(1.0, abs=0.1)
    assert torch.equal(paired[:1000], paired[1000:]), 'both streams of a sample share the draw'


def test_frozen_foundation_trains_only_its_part_and_keeps_its_statistics():
    model, (template, search) = small_model(), small_input(4)
    model.freeze_foundation()
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimiser = torch.optim.SGD(adapter_parameter_groups(model, lr=1.0))
    out = model(template, search, keep_rate=1.0)
    (out.score_map.sum() + out.size_map.sum() + out.offset_map.sum()).backward()
    optimiser.step()
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {name for name, p in model.named_parameters() if p.grad is not None}
    assert all('Adapter' in n or 'multimodal' in n or n.startswith('backbone.norm.') for n in changed)
    assert 'backbone.blocks.0.Space_X_DTE_Adapter.D_fc1.weight' in changed
    assert 'backbone.blocks.1.MLP_X_X_DTE_Adapter.D_fc2.bias' in changed
    assert 'backbone.patch_embed_multimodal.proj.weight' in changed


@pytest.mark.parametrize('mode', [Mode.FUSED, Mode.RGB_ONLY, Mode.X_ONLY])
def test_forward_is_one_graph(mode):
    """torch.compile and export need static shapes and no branches on data."""
    model, inputs = small_model(), small_input(1)
    torch.compiler.reset()
    compiled = torch.compile(model, backend='eager', fullgraph=True, dynamic=False)
    with torch.inference_mode():
        expected = model(*inputs, mode=mode)
        found = compiled(*inputs, mode=mode)
    torch.testing.assert_close(found.score_map, expected.score_map)


def test_autocast_gives_float32_maps():
    model, inputs = small_model(), small_input()
    with torch.inference_mode(), torch.autocast('cpu', torch.bfloat16):
        out = model(*inputs)
    assert {m.dtype for m in (out.score_map, out.size_map, out.offset_map)} == {torch.float32}
    assert out.score_map.max() <= 1 - 1e-4


def test_decode_reads_the_first_maximum():
    score = torch.zeros(2, 1, 4, 4)
    score[0, 0, 2, 3] = score[0, 0, 3, 3] = 0.9
    size = torch.full((2, 2, 4, 4), 0.25)
    offset = torch.zeros(2, 2, 4, 4)
    offset[0, :, 2, 3] = torch.tensor([0.5, -0.5])
    boxes, cell = decode(score, size, offset)
    assert cell.tolist() == [11, 0]
    torch.testing.assert_close(
        boxes[:, 0], torch.tensor([[3.5 / 4, 1.5 / 4, 0.25, 0.25], [0, 0, 0.25, 0.25]])
    )


def test_fresh_foundation_starts_sensibly():
    torch.manual_seed(0)
    model = SDSTrack(SMALL)
    initialise_foundation(model)
    backbone = model.backbone
    z = backbone.pos_embed_z.view(SMALL.template_grid, SMALL.template_grid, -1)
    x = backbone.pos_embed_x.view(SMALL.search_grid, SMALL.search_grid, -1)
    # 3 of the 6 search tokens a side: half a token apart in phase, one scale
    step = torch.linalg.vector_norm(z[1, 1] - z[1, 2])
    torch.testing.assert_close(step, torch.linalg.vector_norm(x[2, 2] - x[2, 3]))
    weight, out = backbone.blocks[0].attn.qkv.weight, backbone.blocks[0].attn.proj.weight
    query, key, value = weight.detach().split(SMALL.dim)
    assert torch.trace(query.T @ key) / SMALL.dim > 0.3
    assert torch.trace(out.detach() @ value) / SMALL.dim < -0.2
    with torch.inference_mode():
        assert model.eval()(*small_input()).score_map.mean() < 0.05


def test_both_matrix_products_agree():
    """Where no gradient is wanted another library computes the linear layers."""
    model, inputs = small_model(), small_input()
    trained = model(*inputs).tokens.detach()
    with torch.no_grad():
        torch.testing.assert_close(model(*inputs).tokens, trained, atol=1e-5, rtol=1e-4)
