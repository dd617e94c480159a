"""Attention heads taken out of an encoder for good, so that what is left computes less and gives the same.

A gate multiplies an attention head's context vector, and the output projection joins the context vectors: a gate can
as well multiply the projection's columns (:func:`fold_gates`), and a head whose gate is 0 can go, with its rows of the
projections to queries, keys and values (:func:`cut_heads`). Feed-forwards stay, as does the output
projection's bias where a layer has no head left.

Shapes: K tasks, N layers, H attention heads.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from mtsearch.model.extension import Host, Role
from mtsearch.model.sublayers import Sublayers

__all__ = ["KeptHeads", "RunTimeGates", "bare_copy", "can_fold", "cut_heads", "fold_gates", "kept_heads"]

KeptHeads = tuple[tuple[int, ...], ...]
"""For each layer, lowest first, which of the whole encoder's attention heads are left, in order."""

_T = TypeVar("_T")

_HEAD_COUNTS = ("num_attention_heads", "num_heads", "n_heads")  # the families' names for it, in the attention


def kept_heads(gates_KNH: Tensor, sublayers: Sequence[Sublayers]) -> KeptHeads:
    """The attention heads that are open for any task, and in any of the layers that share weights.

    Args:
        gates_KNH: of each task; of one alone where all tasks share them. 0 is closed.
        sublayers: the encoder's N layers.
    """
    open_NH = (gates_KNH != 0).any(0)
    kept = (open_NH[_sharing(sublayers, one)].any(0).nonzero().flatten().tolist() for one in sublayers)
    return tuple(tuple(heads) for heads in kept)


def can_fold(gates_KNH: Tensor, sublayers: Sequence[Sublayers]) -> bool:
    """Whether weights can hold the gates: all tasks have the same ones, and so have layers that share weights."""
    groups = [gates_KNH[:, _sharing(sublayers, one)].flatten(0, 1) for one in sublayers]
    return all(bool((group == group[:1]).all()) for group in groups)


def fold_gates(gates_NH: Tensor, sublayers: Sequence[Sublayers]) -> None:
    """Multiply the output projections' columns by the gates, in place.

    Args:
        gates_NH: that :func:`can_fold`.
        sublayers: of the whole encoder.
    """
    for one, gates_H in _each_once(sublayers, gates_NH.unbind()):
        weight = one.attention_output.weight
        with torch.no_grad():
            weight.mul_(gates_H.to(weight).repeat_interleave(one.head_size))


def cut_heads(kept: KeptHeads, sublayers: Sequence[Sublayers]) -> None:
    """Take all other attention heads out of an encoder, in place.

    The encoder's config stays that of the whole encoder, since it has one number of heads for all layers.

    Args:
        kept: for each layer.
        sublayers: of the whole encoder; to be found anew afterwards.

    Raises:
        ValueError: these are not heads of this encoder's layers.
    """
    _check(kept, sublayers)
    for one, heads in _each_once(sublayers, kept):
        if len(heads) < one.num_heads:
            _cut(one, heads)


def _check(kept: KeptHeads, sublayers: Sequence[Sublayers]) -> None:
    if len(kept) != len(sublayers):
        raise ValueError(f"heads must be told of {len(sublayers)} layers, but are of {len(kept)}")
    for one, heads in zip(sublayers, kept, strict=True):
        if list(heads) != sorted({head for head in heads if 0 <= head < one.num_heads}):
            raise ValueError(
                f"the heads of layer {one.depth} must be some of 0 to {one.num_heads - 1} in order, but are {heads}"
            )
        if any(kept[other] != heads for other in _sharing(sublayers, one)):
            raise ValueError(f"layer {one.depth} must keep the same heads as the layers whose weights it shares")


def _cut(one: Sublayers, heads: Sequence[int]) -> None:
    kept = torch.tensor(heads, dtype=torch.long, device=one.attention_output.weight.device)

    def of_kept(rows: Tensor) -> Tensor:  # of each head; those of queries, keys and values may follow one another
        by_head = rows.reshape(-1, one.num_heads, one.head_size, *rows.shape[1:])
        return by_head[:, kept].flatten(0, 2).contiguous()

    for linear in one.attention_inputs:
        linear.weight = nn.Parameter(of_kept(linear.weight.data), linear.weight.requires_grad)
        if linear.bias is not None:
            linear.bias = nn.Parameter(of_kept(linear.bias.data), linear.bias.requires_grad)
        linear.out_features = len(linear.weight)
    output = one.attention_output
    output.weight = nn.Parameter(of_kept(output.weight.data.T).T.contiguous(), output.weight.requires_grad)
    output.in_features = len(heads) * one.head_size
    if not heads:
        _replace(one.layer, one.attention, _Headless({name: getattr(one.attention, name) for name in one.after_heads}))
        return
    left = {**dict.fromkeys(_HEAD_COUNTS, len(heads)), "all_head_size": output.in_features}
    for name, value in left.items():
        if hasattr(one.attention, name):
            setattr(one.attention, name, value)
    if one.head_bias:
        _narrow_bias(one.attention, one.head_bias, kept)


class _Headless(nn.Module):
    """In place of an attention that has no heads left: joining nothing leaves the output projection's bias.

    Args:
        after_heads: what is left of it, by the names that it had.
    """

    def __init__(self, after_heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, module in after_heads.items():
            self.add_module(name, module)

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, None]:
        states = hidden_states[..., :0]
        for module in self.children():
            states = module(hidden_states + states if isinstance(module, nn.LayerNorm) else states)
        return states, None


def _narrow_bias(attention: nn.Module, argument: str, kept: Tensor) -> None:
    """Of an argument [B, H, L, L] that all layers share, let the attention see what its own heads need."""
    place = list(inspect.signature(attention.forward).parameters).index(argument)
    attention.register_buffer("kept_heads", kept, persistent=False)

    def narrow(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if argument in kwargs:
            return args, {**kwargs, argument: kwargs[argument][:, module.kept_heads]}
        return (*args[:place], args[place][:, module.kept_heads], *args[place + 1 :]), kwargs

    attention.register_forward_pre_hook(narrow, with_kwargs=True)


def _replace(layer: nn.Module, module: nn.Module, other: nn.Module) -> None:
    layer.set_submodule(next(name for name, found in layer.named_modules() if found is module), other)


def bare_copy(encoder: nn.Module) -> nn.Module:
    """A copy of a whole encoder, as it was loaded: without the hooks that were put on it since."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    registered = [getattr(module, name) for module in encoder.modules() for name in hooks]
    return copy.deepcopy(encoder, {id(found): type(found)() for found in registered})


class RunTimeGates(nn.Module):
    """Gates that weights cannot hold: of each task its own, or of each layer of those that share weights.

    An extension of the encoder that is not trained, for what is left after :func:`cut_heads`.

    Args:
        gates_KNH: of each task, in the order of ``host.tasks``, for the heads of the whole encoder.
        kept: which of them are left.
        host: whose encoder is cut.
    """

    def __init__(self, gates_KNH: Tensor, kept: KeptHeads, host: Host) -> None:
        super().__init__()
        self.gates: Tensor
        self.register_buffer("gates", gates_KNH.detach().clone())
        sublayers = host.sublayers("pruning")
        # Here and not in the hooks: a hook must find the tensors where the module is moved to.
        for number, heads in enumerate(kept):
            self.register_buffer(f"kept_{number}", torch.tensor(heads, dtype=torch.long), persistent=False)
        for one, _ in _each_once(sublayers, kept):
            layers = _sharing(sublayers, one)
            one.attention_output.register_forward_pre_hook(self._gate(host, layers, one.head_size))

    def _gate(self, host: Host, layers: Sequence[int], head_size: int) -> Any:
        def multiply(module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor] | None:
            if not host.serving.is_under_way:
                return None
            layer = layers[host.serving.nth_call(self, module)]
            task = host.tasks.index(host.serving.task)
            gates_H = self.gates[task, layer, self.get_buffer(f"kept_{layer}")]
            return (args[0] * gates_H.to(args[0].dtype).repeat_interleave(head_size),)

        return multiply

    @property
    def lowest_depth(self) -> int:
        """The lowest layer has gates, too."""
        return 1

    def roles(self) -> Mapping[str, Role]:
        """It has no parameters."""
        return {}

    def penalty(self) -> Tensor | None:
        """None: nothing is trained."""
        return None

    def measured(self) -> Iterable[tuple[str, str, float]]:
        """Nothing."""
        return ()


def _sharing(sublayers: Sequence[Sublayers], one: Sublayers) -> list[int]:
    """The numbers of the layers whose weights are this one's; of most encoders this one alone."""
    return [number for number, other in enumerate(sublayers) if other.attention_output is one.attention_output]


def _each_once(sublayers: Sequence[Sublayers], values: Sequence[_T]) -> Iterator[tuple[Sublayers, _T]]:
    """Layers with their values, without those whose weights came before."""
    for number, (one, value) in enumerate(zip(sublayers, values, strict=True)):
        if _sharing(sublayers, one)[0] == number:
            yield one, value
