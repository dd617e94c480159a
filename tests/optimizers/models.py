"""Small models whose depths are known."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

NUM_LAYERS = 2


class Layer(nn.Module):
    """Self-attention through torch's kernels, a smooth nonlinearity and a normalisation."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(size, 3 * size)
        self.norm = nn.LayerNorm(size)

    def forward(self, x_BLD: Tensor) -> Tensor:
        q, k, v = (x.unsqueeze(1) for x in self.qkv(x_BLD).chunk(3, -1))
        mixed_BLD = functional.scaled_dot_product_attention(q, k, v).squeeze(1)
        return self.norm(x_BLD + torch.tanh(mixed_BLD))


class SmallModel(nn.Module):
    """Embeddings, two layers and two task heads, with the depths that the multi-task model has."""

    def __init__(self, size: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.ModuleDict(
            {
                "embeddings": nn.Embedding(5, size),
                "layers": nn.ModuleList(Layer(size) for _ in range(NUM_LAYERS)),
            }
        )
        self.heads = nn.ModuleDict({name: nn.Linear(size, 1) for name in ("first", "second")})

    @property
    def depths(self) -> dict[str, int]:
        def depth(name: str) -> int:
            if name.startswith("heads."):
                return NUM_LAYERS + 1
            return 0 if "embeddings" in name else 1 + int(name.split(".")[2])

        return {name: depth(name) for name, _ in self.named_parameters()}

    def is_pretrained(self, name: str) -> bool:
        return name.startswith("encoder.")

    def forward(self, ids_BL: Tensor, head: str) -> Tensor:
        x_BLD = self.encoder["embeddings"](ids_BL)
        for layer in self.encoder["layers"]:
            x_BLD = layer(x_BLD)
        return self.heads[head](x_BLD.mean(1)).squeeze(-1)


def batch(number: int) -> tuple[Tensor, Tensor]:
    """Token ids [4, 6] and targets [4], the same for the same number."""
    random = torch.Generator().manual_seed(number)
    return torch.randint(0, 5, (4, 6), generator=random), torch.randn(4, generator=random)


def loss_of(model: nn.Module, number: int, head: str = "first") -> Tensor:
    """The squared error of a task on a batch."""
    ids, targets = batch(number)
    return functional.mse_loss(model(ids, head), targets)


class Quadratic(nn.Module):
    """½ Σ λ x², which has the diagonal λ for a Hessian."""

    def __init__(self, curvatures: Tensor, start: Tensor) -> None:
        super().__init__()
        self.curvatures = curvatures
        self.x = nn.Parameter(start.clone())

    @property
    def depths(self) -> dict[str, int]:
        return {"x": 1}

    def is_pretrained(self, name: str) -> bool:
        return False

    def forward(self) -> Tensor:
        return 0.5 * (self.curvatures * self.x**2).sum()
