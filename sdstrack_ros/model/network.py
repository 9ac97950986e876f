"""SDSTrack (Hou et al., CVPR 2024): an RGB+X tracker as two streams through one vision transformer.

    model = SDSTrack.from_checkpoint('SDSTrack_ep0050.pth.tar')
    out = model(template, search)                 # (B,6,128,128), (B,6,256,256), normalised float32
    box, cell = decode(out.score_map, out.size_map, out.offset_map)

Channels 0-2 are RGB, 3-5 are X (depth, thermal or events as a 3-channel picture). Both streams run through
the same blocks as one batch, RGB samples first; X samples also pass through adapters. After some blocks the
block is used once more to let each stream attend to the other alone. Names of parameters are those of the
published checkpoints, where `DTE` stands for X and `X_DTE` pairs for what the adapter sees:
`*_X_DTE_Adapter` serves the X pass, `*_X_X_DTE_Adapter` the fusion pass.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import CheckpointError
from ..types import Mode
from .checkpoint import check_keys, is_adapter_key, is_unused_key, read_checkpoint, write_checkpoint
from .config import SDSTrackConfig
from .linear import Linear

logger = logging.getLogger(__name__)

TokenMasks = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]
Part = Literal['whole', 'foundation', 'adapters']
MLP_ADAPTER_SCALE = 0.5


class TrackerOutput(NamedTuple):
    """What one forward gives; g is the side of the search grid, S the streams that ran (RGB first)."""

    score_map: Tensor  # (B,1,g,g) in (0,1)
    size_map: Tensor  # (B,2,g,g) width and height, in search crops, (0,1)
    offset_map: Tensor  # (B,2,g,g) x and y of the centre within its cell, in cells
    tokens: Tensor  # (B,Nz+Nx,dim) normalised features, template first, eliminated positions included
    kept: tuple[Tensor, ...]  # per elimination block (S,B,k): search positions still alive, in token order
    fusion_tokens: tuple[Tensor, ...]  # per fusion block (B,2N,dim): RGB then X; only with collect=True


class Attention(nn.Module):
    """Multi-head attention in two steps, so that the fusion pass can swap keys and values between."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = Linear(dim, 3 * dim)
        self.proj = Linear(dim, dim)

    def project(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B,N,C) to queries, keys and values, (B,heads,N,C/heads) each."""
        batch, count, _ = tokens.shape
        q, k, v = self.qkv(tokens).view(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        return q, k, v

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return cast(Tensor, self.proj(_attend(q, k, v).transpose(1, 2).flatten(2)))


class Mlp(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(dim, hidden)
        self.fc2 = Linear(hidden, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        return cast(Tensor, self.fc2(self.fc1.gelu(tokens)))


class Adapter(nn.Module):
    """The small bottleneck that is trained while the transformer is frozen. No skip inside."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.D_fc1 = Linear(dim, hidden)
        self.D_fc2 = Linear(hidden, dim)
        for layer in (self.D_fc1, self.D_fc2):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        return cast(Tensor, self.D_fc2(self.D_fc1.gelu(tokens)))


class Block(nn.Module):
    """One transformer block: `forward` for both streams side by side, `fuse` across them."""

    def __init__(self, config: SDSTrackConfig, index: int) -> None:
        super().__init__()
        dim, adapter = config.dim, round(config.dim * config.adapter_ratio)
        self.drop_rate = config.drop_path * index / max(config.depth - 1, 1)
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, config.heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, round(dim * config.mlp_ratio))
        self.MLP_X_DTE_Adapter = Adapter(dim, adapter)
        self.Space_X_DTE_Adapter = Adapter(dim, adapter)
        self.MLP_X_X_DTE_Adapter = Adapter(dim, adapter)
        self.Space_X_X_DTE_Adapter = Adapter(dim, adapter)

    def forward(
        self, tokens: Tensor, rgb: int, template: int, keep: int | None, judges: slice
    ) -> tuple[Tensor, Tensor | None]:
        """Both streams, each within itself.

        tokens (S*B,N,C), the first `rgb` samples RGB, the others X; `template` tokens lead each sample.
        With `keep`, only that many search tokens go on, those that the template tokens `judges` attend to
        most, in falling order; their indices (S*B,keep) come back too.
        """
        has_x = rgb < tokens.shape[0]
        q, k, v = self.attn.project(self.norm1(tokens))
        y = self.attn.mix(q, k, v)
        if has_x:
            y = torch.cat((y[:rgb], y[rgb:] + self.Space_X_DTE_Adapter(y[rgb:])))
        tokens = tokens + self._drop(y)
        order = None
        if keep is not None:
            order = _elimination_scores(q[:, :, judges], k)[:, template:].topk(keep).indices
            tokens = torch.cat((tokens[:, :template], _take(tokens[:, template:], order)), 1)
        h = self.norm2(tokens)
        y = self.mlp(h)
        if has_x:
            # the published network has no stochastic depth on the MLP of the RGB stream
            y_x = y[rgb:] + MLP_ADAPTER_SCALE * self.MLP_X_DTE_Adapter(h[rgb:])
            y = torch.cat((y[:rgb], self._drop(y_x)))
        return tokens + y, order

    def fuse(self, tokens: Tensor) -> Tensor:
        """The same weights once more, RGB queries against X keys and the other way round. (2B,N,C)."""
        batch = tokens.shape[0] // 2
        q, k, v = self.attn.project(self.norm1(tokens))
        y = self.attn.mix(q, k.roll(batch, 0), v.roll(batch, 0))
        tokens = tokens + self._drop(y + self.Space_X_X_DTE_Adapter(y), together=2)
        h = self.norm2(tokens)
        return tokens + self._drop(self.mlp(h) + MLP_ADAPTER_SCALE * self.MLP_X_X_DTE_Adapter(h), together=2)

    def _drop(self, y: Tensor, together: int = 1) -> Tensor:
        """Stochastic depth per sample; the `together` streams of a sample share one draw."""
        if not self.training or self.drop_rate == 0.0:
            return y
        keep = 1.0 - self.drop_rate
        draw = y.new_empty(y.shape[0] // together, 1, 1).bernoulli_(keep) / keep
        return y * draw.repeat(together, 1, 1)


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k' / sqrt(width)) v over (B,heads,N,width)."""
    if q.device.type == 'cpu' and q.dtype == torch.bfloat16:
        # on a CPU torch's fused attention is slower there than plain products, 4x so backward
        return ((q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5).softmax(-1) @ v
    return F.scaled_dot_product_attention(q, k, v)


def _elimination_scores(q: Tensor, k: Tensor) -> Tensor:
    """Mean attention that each key gets from the judging queries, (B,N). One row instead of the whole map."""
    logits = (q.detach() * q.shape[-1] ** -0.5) @ k.detach().transpose(-2, -1)
    return logits.softmax(-1).mean(dim=(1, 2))


def _take(tokens: Tensor, order: Tensor) -> Tensor:
    return tokens.gather(1, order.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))


class PatchEmbed(nn.Module):
    def __init__(self, dim: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, patch)

    def forward(self, image: Tensor) -> Tensor:
        """(B,3,H,W) to tokens (B,N,dim), row by row."""
        return cast(Tensor, self.proj(image.to(self.proj.weight.dtype))).flatten(2).transpose(1, 2)


class Backbone(nn.Module):
    """The two-stream transformer."""

    def __init__(self, config: SDSTrackConfig) -> None:
        super().__init__()
        self.config = config
        template, search, dim = config.template_grid**2, config.search_grid**2, config.dim
        self.patch_embed = PatchEmbed(dim, config.patch)
        self.patch_embed_multimodal = PatchEmbed(dim, config.patch)
        self.pos_embed_z = nn.Parameter(torch.zeros(1, template, dim))
        self.pos_embed_x = nn.Parameter(torch.zeros(1, search, dim))
        # Never read; published files hold them and are loaded strictly.
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 197, dim))
        self.pos_embed_z_z_dte = nn.Parameter(torch.zeros(1, 2 * template, dim))
        self.pos_embed_x_x_dte = nn.Parameter(torch.zeros(1, 2 * search, dim))
        self.blocks = nn.ModuleList(Block(config, i) for i in range(config.depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(
        self,
        template: Tensor,
        search: Tensor,
        mode: Mode,
        keep_rate: float,
        token_masks: TokenMasks | None,
        collect: bool,
    ) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        config, batch = self.config, template.shape[0]
        tokens = self._embed(template, search, mode, token_masks)
        streams = tokens.shape[0] // batch
        rgb = 0 if mode == Mode.X_ONLY else batch
        n_template, n_search = self.pos_embed_z.shape[1], self.pos_embed_x.shape[1]
        token = config.central_token
        judges = slice(token, token + 1) if config.elimination_query == 'centre' else slice(0, n_template)

        alive = torch.arange(n_search, device=tokens.device).expand(streams * batch, n_search)
        kept: list[Tensor] = []
        fusion_tokens: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            count = tokens.shape[1] - n_template
            keep = math.ceil(keep_rate * count) if i in config.elimination_blocks else count
            tokens, order = block(tokens, rgb, n_template, keep if keep < count else None, judges)
            if order is not None:
                alive = alive.gather(1, order)
            if i in config.elimination_blocks:
                kept.append(alive.view(streams, batch, -1))
            if streams == 2 and i in config.fusion_blocks:
                tokens = cast(Block, block).fuse(tokens)
                if collect:
                    fusion_tokens.append(torch.cat((tokens[:batch], tokens[batch:]), 1))

        search_tokens = tokens[:, n_template:]
        if kept:
            # back to their places; what a stream dropped counts as zero in the mean of the streams
            places = alive.unsqueeze(-1).expand_as(search_tokens)
            blank = tokens.new_zeros(tokens.shape[0], n_search, config.dim)
            search_tokens = blank.scatter(1, places, search_tokens)
        features = torch.cat((tokens[:, :n_template], search_tokens), 1)
        if streams == 2:
            features = (features[:batch] + features[batch:]) * 0.5
        return self.norm(features), tuple(kept), tuple(fusion_tokens)

    def _embed(self, template: Tensor, search: Tensor, mode: Mode, token_masks: TokenMasks | None) -> Tensor:
        """Tokens of the streams that `mode` uses, (S*B,Nz+Nx,dim); the other channels are not read."""
        masks = token_masks or (None, None, None, None)
        streams = []
        if mode != Mode.X_ONLY:
            streams.append((self.patch_embed, slice(0, 3), masks[0], masks[2]))
        if mode != Mode.RGB_ONLY:
            streams.append((self.patch_embed_multimodal, slice(3, 6), masks[1], masks[3]))
        tokens = []
        for embed, channels, template_mask, search_mask in streams:
            z = _blank(embed(template[:, channels]), template_mask) + self.pos_embed_z
            x = _blank(embed(search[:, channels]), search_mask) + self.pos_embed_x
            tokens.append(torch.cat((z, x), 1))
        return torch.cat(tokens)


def _blank(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """Masked tokens (mask (B,N), nonzero = masked) become zero vectors."""
    return tokens if mask is None else tokens.masked_fill(mask.bool().unsqueeze(-1), 0.0)


class CenterHead(nn.Module):
    """Three branches of convolutions: where the centre is, its offset within the cell, the box size."""

    def __init__(self, dim: int, channels: int) -> None:
        super().__init__()
        widths = (dim, channels, channels // 2, channels // 4, channels // 8)
        for branch, out in (('ctr', 1), ('offset', 2), ('size', 2)):
            for i in range(4):
                layers = (
                    nn.Conv2d(widths[i], widths[i + 1], 3, padding=1),
                    nn.BatchNorm2d(widths[i + 1]),
                    nn.ReLU(),
                )
                self.add_module(f'conv{i + 1}_{branch}', nn.Sequential(*layers))
            self.add_module(f'conv5_{branch}', nn.Conv2d(widths[4], out, 1))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B,dim,g,g) to score (B,1,g,g), size (B,2,g,g), offset (B,2,g,g), float32."""
        return (
            _squash(self._branch('ctr', features)),
            _squash(self._branch('size', features)),
            self._branch('offset', features),
        )

    def _branch(self, name: str, features: Tensor) -> Tensor:
        for i in range(1, 6):
            features = self.get_submodule(f'conv{i}_{name}')(features)
        return features.float()


def _squash(logits: Tensor) -> Tensor:
    return logits.sigmoid().clamp(1e-4, 1 - 1e-4)


class SDSTrack(nn.Module):
    """The whole network. See the module's text for use."""

    def __init__(self, config: SDSTrackConfig | None = None) -> None:
        super().__init__()
        self.config = config or SDSTrackConfig()
        self.foundation_frozen = False
        self.backbone = Backbone(self.config)
        self.box_head = CenterHead(self.config.dim, self.config.head_channels)

    def forward(
        self,
        template: Tensor,
        search: Tensor,
        *,
        mode: Mode = Mode.FUSED,
        keep_rate: float | None = None,
        token_masks: TokenMasks | None = None,
        collect: bool = False,
    ) -> TrackerOutput:
        """Look for the template (B,6,t,t) in the search region (B,6,s,s), both normalised float32.

        mode: RGB_ONLY and X_ONLY run that stream alone and never read the other channels.
        keep_rate: share of search tokens that each elimination keeps; 1 or more switches it off.
        token_masks: template RGB, template X, search RGB, search X, each (B,N) or None; a nonzero entry
        makes that patch token a zero vector before positions are added (paper section 3.3).
        collect: return the tokens after every fusion, for distillation.
        """
        if mode == Mode.BLIND:
            raise ValueError('mode BLIND: there is no image to look at')
        tokens, kept, fusion_tokens = self.backbone(
            template,
            search,
            mode,
            self.config.keep_rate if keep_rate is None else keep_rate,
            token_masks,
            collect,
        )
        grid = self.config.search_grid
        features = tokens[:, -(grid**2) :].transpose(1, 2).unflatten(2, (grid, grid))
        score_map, size_map, offset_map = self.box_head(features)
        return TrackerOutput(score_map, size_map, offset_map, tokens, kept, fusion_tokens)

    @classmethod
    def from_checkpoint(cls, path: str | Path, device: str | torch.device = 'cpu') -> SDSTrack:
        """The network of a published file (ViT-B) or of whole safetensors of ours, in eval mode.

        Every key must be there in its shape; CheckpointError names those that are not.
        """
        config, tensors = read_checkpoint(path)
        with torch.device('meta'):
            model = cls(config)
        parts: tuple[Part, ...] = ('foundation', 'adapters')
        for part in parts:
            if tensors.keys() == set(model._keys(part)):
                raise CheckpointError(
                    f'{path}: the {part} alone; give a whole network, as training writes it'
                )
        state = model.state_dict()
        if config is not None:
            unused = (key for key in state if is_unused_key(key, config))
            tensors |= {key: torch.zeros(state[key].shape) for key in unused}
        check_keys(path, state, tensors)
        model.load_state_dict(tensors, assign=True)
        return model.eval().to(device)

    @classmethod
    def from_foundation(cls, path: str | Path) -> SDSTrack:
        """A network to train adapters for: transformer and head from an OSTrack file or a foundation of ours.

        Adapters and X patch embedding are fresh (adapters truncated normal, deviation 0.02; the embedding as
        torch does by default, it is not copied from RGB), as in the published training.
        """
        config, tensors = read_checkpoint(path)
        model = cls(config)
        model._load_part(path, tensors, 'foundation')
        fresh = len(model.state_dict()) - len(tensors)
        logger.info(
            '%s: %d tensors of the foundation loaded, %d left fresh to train', path, len(tensors), fresh
        )
        return model

    def load_adapters(self, path: str | Path) -> None:
        """Take the trained part and the calibration from a file of `save(path, 'adapters')`."""
        config, tensors = read_checkpoint(path)
        mine = dataclasses.replace(self.config, calibration=None)
        if config is None or dataclasses.replace(config, calibration=None) != mine:
            raise CheckpointError(f'{path}: these adapters are of another architecture than the foundation')
        self._load_part(path, tensors, 'adapters')
        self.config = config

    def save(self, path: str | Path, part: Part = 'whole', half: bool = False) -> None:
        """Write safetensors with the config: the whole network, or one part; as float16 where `half`."""
        state = self.state_dict()
        write_checkpoint(path, {key: state[key] for key in self._keys(part)}, self.config, half)

    def _load_part(self, path: str | Path, tensors: dict[str, Tensor], part: Part) -> None:
        state = self.state_dict()
        read = {key: value for key, value in tensors.items() if not is_unused_key(key, self.config)}
        check_keys(path, {key: state[key] for key in self._keys(part)}, read)
        self.load_state_dict(read, strict=False)

    def _keys(self, part: Part) -> list[str]:
        """Names of a part's tensors. Both parts hold the last norm: it is the foundation's, trained on."""
        used = [key for key in self.state_dict() if not is_unused_key(key, self.config)]
        if part == 'whole':
            return used
        shared = 'backbone.norm.'
        return [key for key in used if is_adapter_key(key) == (part == 'adapters') or key.startswith(shared)]

    def train(self, mode: bool = True) -> SDSTrack:
        """As in torch, but a frozen head keeps its batch statistics."""
        super().train(mode)
        if self.foundation_frozen:
            self.box_head.eval()
        return self

    def freeze_foundation(self) -> None:
        """Leave only adapters, the X patch embedding and the last norm to train."""
        self.foundation_frozen = True
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(is_adapter_key(name))
        self.train(self.training)


def adapter_parameter_groups(model: SDSTrack, lr: float) -> list[dict[str, Any]]:
    """Optimiser groups: adapters and X patch embedding at `lr`, the last norm at a tenth of it."""
    trained = [(name, p) for name, p in model.named_parameters() if is_adapter_key(name)]
    return [
        {'params': [p for name, p in trained if not name.startswith('backbone.norm.')], 'lr': lr},
        {'params': [p for name, p in trained if name.startswith('backbone.norm.')], 'lr': 0.1 * lr},
    ]


def decode(score_map: Tensor, size_map: Tensor, offset_map: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (B,1,4) as centre x, centre y, w, h in search crops, and the winning cell (B,), row by row.

    The cell is the first maximum of `score_map` (B,1,g,g), windowed or not.
    """
    batch, _, grid, _ = score_map.shape
    cell = score_map.view(batch, -1).argmax(1)
    index = cell.view(batch, 1, 1).expand(batch, 2, 1)
    size = size_map.flatten(2).gather(2, index).squeeze(2)
    offset = offset_map.flatten(2).gather(2, index).squeeze(2)
    corner = torch.stack((cell % grid, torch.div(cell, grid, rounding_mode='floor')), 1)
    return torch.cat(((corner + offset) / grid, size), 1).unsqueeze(1), cell
