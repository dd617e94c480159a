"""Which parameters decay, and which learn at which rate: the groups every optimizer starts from."""

from __future__ import annotations

from typing import Any, Literal

from mtsearch.optimizers.contract import LayeredModel

__all__ = ["Part", "parameter_groups"]

Part = Literal["encoder", "head"]


def parameter_groups(
    model: LayeredModel, lr: float, head_lr: float, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Groups for a torch optimizer: one for each part and depth, with and without weight decay.

    Biases and the weights of normalisation layers (every parameter of fewer than two dimensions) do
    not decay: decay there only shrinks the scale that normalisation restores. A parameter is the
    encoder's if its name starts with ``encoder.``. Frozen parameters are there, too, since they may
    thaw later; torch's optimizers pass over what has no gradient.

    Args:
        model: tells how deep its parameters lie.
        lr: the learning rate of the encoder's top layer, per update.
        head_lr: the task heads' learning rate, per update.
        weight_decay: decoupled decay per update, as a multiple of the learning rate.
        layer_decay: what the rate is multiplied by from each layer of the encoder to the one below it, in (0, 1].
            Task heads are not scaled.

    Returns:
        Non-empty groups from bottom to top with ``params``, ``names``, ``lr``, ``weight_decay``, ``part`` and
        ``depth``.

    Source:
        Layer-wise rates: Howard & Ruder 2018, arXiv 1801.06146, section 3.2 (discriminative fine-tuning).
    """
    depths = model.depths
    named = [(name, parameter) for name, parameter in model.named_parameters() if name in depths]
    top = max((depths[name] for name, _ in named if model.is_pretrained(name)), default=0)
    groups: dict[tuple[int, Part, bool], dict[str, Any]] = {}
    for name, parameter in named:
        part: Part = "encoder" if model.is_pretrained(name) else "head"
        depth = depths[name]
        decays = parameter.ndim >= 2
        group = groups.setdefault(
            (depth, part, decays),
            {
                "params": [],
                "names": [],
                "lr": lr * layer_decay ** (top - depth) if part == "encoder" else head_lr,
                "weight_decay": weight_decay if decays else 0.0,
                "part": part,
                "depth": depth,
            },
        )
        group["params"].append(parameter)
        group["names"].append(name)
    return [groups[key] for key in sorted(groups)]
