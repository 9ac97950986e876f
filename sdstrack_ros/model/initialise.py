"""A good start for a foundation that is trained from nothing: where tokens are, and what they attend to.

Positions are 2-D sine-cosines in one common scale for template and search, whose crops show the world in
the same scale. Attention starts mimetic: queries and keys of like tokens agree, and a token moves a little
away from what it attends to (Trockman & Kolter 2023, "Mimetic initialization of self-attention layers").
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .network import Block, SDSTrack

_LONGEST_WAVE = 1000.0  # of the positions, in tokens / 2 pi
_QUERY_KEY = (0.7, 0.7)  # noise and identity of W_q W_k
_VALUE_PROJECTION = (0.4, -0.4)  # the same of W_v W_proj
_RARE = 0.01  # score of every cell before training: few cells hold a target


@torch.no_grad()
def initialise_foundation(model: SDSTrack) -> None:
    """Set positions, attention, MLPs and the head's bias of an untrained `model` in place.

    The X patch embedding starts as a copy of the RGB one. Draws come from torch's global generator.
    """
    backbone, config = model.backbone, model.config
    template_stride = config.template_factor / config.template_grid
    search_stride = config.search_factor / config.search_grid
    backbone.pos_embed_z.copy_(_positions(config.template_grid, template_stride / search_stride, config.dim))
    backbone.pos_embed_x.copy_(_positions(config.search_grid, 1.0, config.dim))
    for block in backbone.blocks:
        assert isinstance(block, Block)
        _mimetic(block, config.dim, config.heads)
    backbone.patch_embed_multimodal.load_state_dict(backbone.patch_embed.state_dict())
    bias = model.box_head.get_submodule('conv5_ctr').bias
    assert isinstance(bias, Tensor)
    bias.fill_(-math.log(1 / _RARE - 1))


def _positions(grid: int, stride: float, dim: int) -> Tensor:
    """(1,grid*grid,dim) sine-cosines of places around the crop's centre; stride in search tokens."""
    place = (torch.arange(grid) - (grid - 1) / 2) * stride
    frequency = _LONGEST_WAVE ** (-torch.arange(dim // 4) / (dim // 4))
    wave = place[:, None] * frequency
    along = torch.cat([wave.sin(), wave.cos()], 1)
    y = along[:, None].expand(grid, grid, -1)
    x = along[None].expand(grid, grid, -1)
    return torch.cat([x, y], -1).reshape(1, grid * grid, dim)


def _mimetic(block: Block, dim: int, heads: int) -> None:
    width = dim // heads
    queries, keys = [], []
    for _ in range(heads):
        left, right = _factors(dim, *_QUERY_KEY)
        queries.append(left[:, :width].T)
        keys.append(right[:, :width].T)
    left, right = _factors(dim, *_VALUE_PROJECTION)
    block.attn.qkv.weight.copy_(torch.cat([*queries, *keys, left.T]))
    block.attn.proj.weight.copy_(right)
    nn.init.zeros_(block.attn.qkv.bias)
    nn.init.zeros_(block.attn.proj.bias)
    for layer in (block.mlp.fc1, block.mlp.fc2):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.normal_(layer.bias, std=1e-6)


def _factors(dim: int, noise: float, identity: float) -> tuple[Tensor, Tensor]:
    """left, right (dim,dim) with left @ right.T = noise * Z + identity * I, strongest directions first."""
    wanted = noise * torch.randn(dim, dim) / math.sqrt(dim) + identity * torch.eye(dim)
    u, s, vh = torch.linalg.svd(wanted)
    return u * s.sqrt(), vh.T * s.sqrt()
