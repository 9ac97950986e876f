"""The network against the outputs of the published code for seeded weights."""

from __future__ import annotations

import json

import numpy as np
import pytest
import synthetic
import torch

from sdstrack_ros.model import SDSTrack, SDSTrackConfig, decode
from sdstrack_ros.model.network import TrackerOutput, adapter_parameter_groups

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
