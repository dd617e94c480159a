"""What ``auto`` comes to on which processor."""

from __future__ import annotations

import pytest
import torch

from mtsearch.errors import ResourceError
from mtsearch.training.precision import choose_precision


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [({"avx512_bf16": True}, "bf16"), ({"avx512_bf16": False, "amx_bf16": True}, "bf16"), ({"avx2": True}, "fp32")],
)
def test_auto_takes_bf16_on_a_cpu_that_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert choose_precision("auto", "cpu") == precision


def test_auto_is_fp32_where_torch_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert choose_precision("auto", "cpu") == "fp32"


def test_what_is_asked_for_is_taken() -> None:
    assert [choose_precision(asked, "cpu") for asked in ("fp32", "bf16")] == ["fp32", "bf16"]
    with pytest.raises(ResourceError, match="fp16 needs a GPU"):
        choose_precision("fp16", "cpu")
