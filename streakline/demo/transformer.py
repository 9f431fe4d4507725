"""A small decoder-only transformer over characters, with the module names of the models that people fine-tune."""

import torch
from msgspec import Struct
from torch import nn
from torch.nn import functional


class Shape(Struct, frozen=True):
    """The size of a `Transformer`."""

    vocabulary: int
    context: int = 64
    width: int = 64
    heads: int = 4
    layers: int = 4


class Gate(nn.Module):
    """A learned scalar in front of a branch, never negative.

    Pushed below zero it shuts: what comes through is exactly zero, and so is the gradient of all that lies behind it
    and its own, so that it never opens again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.opening = nn.Parameter(torch.ones(()))

    def forward(self, branch: torch.Tensor) -> torch.Tensor:
        """`branch`, scaled."""
        return functional.relu(self.opening) * branch

    @torch.no_grad()
    def shut(self) -> None:
        """Push it far below zero, as one bad update would."""
        self.opening.fill_(-1.0)


class SelfAttention(nn.Module):
    """Causal self-attention with its norm and gate."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.norm = nn.LayerNorm(shape.width)
        self.qkv_proj = nn.Linear(shape.width, 3 * shape.width)
        self.out_proj = nn.Linear(shape.width, shape.width)
        self.gate = Gate()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, time, width) → the same."""
        batch, time, width = x.shape
        heads = self.qkv_proj(self.norm(x)).view(batch, time, 3, self.heads, width // self.heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        gated: torch.Tensor = self.gate(self.out_proj(mixed.transpose(1, 2).reshape(batch, time, width)))
        return gated


class MLP(nn.Module):
    """Two linear maps with their norm and gate."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(shape.width)
        self.up_proj = nn.Linear(shape.width, 4 * shape.width)
        self.down_proj = nn.Linear(4 * shape.width, shape.width)
        self.gate = Gate()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, width) → the same."""
        gated: torch.Tensor = self.gate(self.down_proj(functional.gelu(self.up_proj(self.norm(x)))))
        return gated


class Layer(nn.Module):
    """One residual layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.self_attn = SelfAttention(shape)
        self.mlp = MLP(shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, time, width) → the same."""
        x = x + self.self_attn(x)
        mixed: torch.Tensor = x + self.mlp(x)
        return mixed


class Transformer(nn.Module):
    """Predicts the next character."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.embed_positions = nn.Embedding(shape.context, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        self.lm_head = nn.Linear(shape.width, shape.vocabulary, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(batch, time) of character numbers → logits, (batch, time, vocabulary)."""
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.embed_tokens(tokens) + self.embed_positions(positions)
        for layer in self.layers:
            x = layer(x)
        logits: torch.Tensor = self.lm_head(self.norm(x))
        return logits
