"""Small tokenizers as the families of encoders have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

__all__ = ["FAMILIES", "build_tokenizer"]

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,?'"
_WORDS = ("the", "film", "was", "good", "not", "bad", "very", "1990s")
_SENTENCES = [" ".join((*_WORDS, *reversed(_WORDS))), *_WORDS, "it's"] * 9
_BERT, _ROBERTA = ("[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"), ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def _wordpiece() -> Tokenizer:
    """BERT, DistilBERT, ELECTRA and MPNet."""
    vocabulary = [*_BERT, *_LETTERS, *(f"##{letter}" for letter in _LETTERS), *_WORDS]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _bytes(special: tuple[str, ...]) -> Tokenizer:
    """RoBERTa and ModernBERT, which count a space to the word after it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=list(special), initial_alphabet=letters, show_progress=False
    )
    tokenizer.train_from_iterator(_SENTENCES, trainer)
    return tokenizer


def _sentencepiece(special: tuple[str, ...]) -> Tokenizer:
    """XLM-R, ALBERT and DeBERTa-v2, which mark where a word begins."""
    pieces = [*((name, 0.0) for name in special), ("▁", -3.0), *((letter, -4.0) for letter in _LETTERS)]
    pieces += [(f"▁{word}", -2.0) for word in _WORDS]
    pieces += [(piece, -2.0) for piece in ("東京", "は", "とても", "大きい", "。")]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("\u200b", "")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    return tokenizer


FAMILIES: Mapping[str, tuple[Callable[[], Tokenizer], tuple[str, ...], str]] = {
    "bert": (_wordpiece, _BERT, "[CLS] $A [SEP] $B [SEP]"),
    "mpnet": (_wordpiece, _BERT, "[CLS] $A [SEP] [SEP] $B [SEP]"),
    "roberta": (lambda: _bytes(_ROBERTA), _ROBERTA, "<s> $A </s> </s> $B </s>"),
    "modernbert": (lambda: _bytes(_BERT), _BERT, "[CLS] $A [SEP] $B [SEP]"),
    "xlm-r": (lambda: _sentencepiece(_ROBERTA), _ROBERTA, "<s> $A </s> </s> $B </s>"),
    "deberta-v2": (lambda: _sentencepiece(_BERT), _BERT, "[CLS] $A [SEP] $B [SEP]"),
}
"""What makes the tokenizer, its special tokens, and how it puts two texts together."""


@cache
def build_tokenizer(family: str) -> Any:
    """The small tokenizer of a family, as transformers gives it."""
    make, special, pair = FAMILIES[family]
    tokenizer = make()
    begin, _, end, *_ = special
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}", pair=pair, special_tokens=[(begin, 0), (end, 2)]
    )
    names = dict(zip(("cls_token", "pad_token", "sep_token", "unk_token", "mask_token"), special, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
