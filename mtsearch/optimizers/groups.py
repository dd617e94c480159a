"""Which parameters decay, and which learn at which rate: the groups every optimizer starts from."""

from __future__ import annotations

from typing import Any, Literal

from torch import nn

__all__ = ["Part", "parameter_groups"]

Part = Literal["encoder", "head"]


def parameter_groups(model: nn.Module, lr: float, head_lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """Groups for a torch optimizer: encoder and task heads, each with and without weight decay.

    Biases and the weights of normalisation layers (every parameter of fewer than two dimensions) do
    not decay: decay there only shrinks the scale that normalisation restores. A parameter is the
    encoder's if its name starts with ``encoder.``. Frozen parameters are left out.

    Args:
        model: a model whose parameter names tell encoder from task heads.
        lr: the encoder's learning rate, per update.
        head_lr: the task heads' learning rate, per update.
        weight_decay: decoupled decay per update, as a multiple of the learning rate.

    Returns:
        Non-empty groups with ``params``, ``names``, ``lr``, ``weight_decay`` and ``part``.
    """
    groups: dict[tuple[Part, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        part: Part = "encoder" if name.startswith("encoder.") else "head"
        decays = parameter.ndim >= 2
        group = groups.setdefault(
            (part, decays),
            {
                "params": [],
                "names": [],
                "lr": lr if part == "encoder" else head_lr,
                "weight_decay": weight_decay if decays else 0.0,
                "part": part,
            },
        )
        group["params"].append(parameter)
        group["names"].append(name)
    return list(groups.values())
