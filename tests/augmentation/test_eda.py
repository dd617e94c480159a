"""EDA: which copies there are, how many, and what they depend on."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mtsearch.augmentation.eda import Eda
from mtsearch.augmentation.operations import OPERATIONS, split
from mtsearch.data.examples import Example


def example(text: str | tuple[str, str], label: Any = "0", name: str = "x1") -> Example:
    return Example(name, (text,) if isinstance(text, str) else text, label, 1)


def eda(**fields: Any) -> Eda:
    return Eda(**{"synonyms": "shipped", **fields})


SENTENCES = [
    example(f"The {noun} was a {quality} one , number {number} .", label, f"{quality}-{noun}-{number}")
    for noun in ("film", "book")
    for quality, label in (("good", "1"), ("bad", "0"))
    for number in range(5)
]
sizes = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 30), min_size=1)


def of_sizes(counts: dict[str, int]) -> list[Example]:
    return [example(f"A good film {label} {i}", label, f"{label}{i}") for label, n in counts.items() for i in range(n)]


def test_a_copy_has_its_examples_label_and_an_id_that_marks_it() -> None:
    copies = eda(num_augmented=3).copies(SENTENCES, 13)
    assert [copy.id for copy in copies] == [f"{x.id}+eda{k}" for x in SENTENCES for k in (1, 2, 3)]
    assert [(copy.label, copy.line) for copy in copies] == [(x.label, x.line) for x in SENTENCES for _ in range(3)]


def test_copies_differ_from_their_example() -> None:
    by_id = {x.id: x for x in SENTENCES}
    assert all(copy.texts != by_id[copy.id.split("+")[0]].texts for copy in eda(num_augmented=9).copies(SENTENCES, 13))


def test_a_text_that_nothing_can_change_is_repeated() -> None:
    for text in ("", "?", "Xylophones!"):
        (copy,) = eda(num_augmented=1).copies([example(text)], 13)
        assert copy.texts == (text,)


@given(st.lists(st.text(), min_size=1, max_size=6), st.integers(0, 2**31 - 1))
def test_any_text_gets_its_copies_and_none_is_emptied(texts: list[str], seed: int) -> None:
    examples = [example(text) for text in texts]
    copies = eda(num_augmented=4).copies(examples, seed)
    assert len(copies) == 4 * len(examples)
    for number, copy in enumerate(copies):
        before = examples[number // 4].texts[0]
        assert bool(split(copy.texts[0]).words) == bool(split(before).words)
        assert bool(copy.texts[0]) == bool(before)


def test_a_copy_depends_on_the_seed_and_its_example_alone() -> None:
    copies = eda().copies(SENTENCES, 13)
    shuffled = random.Random(0).sample(SENTENCES, len(SENTENCES))[:7]
    some = eda().copies(shuffled, 13)
    assert {copy.id: copy for copy in some}.items() <= {copy.id: copy for copy in copies}.items()
    assert {copy.texts for copy in eda().copies(SENTENCES, 14)} != {copy.texts for copy in copies}


def test_more_copies_begin_with_the_fewer() -> None:
    few, many = (eda(num_augmented=number).copies(SENTENCES[:1], 13) for number in (3, 10))
    assert many[:3] == few


def test_four_copies_in_a_row_take_each_operation_once(monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    for name, operation in list(OPERATIONS.items()):

        def told(text: Any, *rest: Any, name: str = name, operation: Any = operation) -> Any:
            used.append(name)
            return operation(text, *rest)

        monkeypatch.setitem(OPERATIONS, name, told)
    eda(num_augmented=8, alpha=0.99).copies([example("A good film was a bad film")], 13)
    assert Counter(used[:4]) == Counter(used[4:]) == Counter(list(OPERATIONS))
    assert used[:4] == used[4:]


@pytest.mark.parametrize("only", OPERATIONS)
def test_a_rate_of_0_leaves_an_operation_out(only: str) -> None:
    method = eda(num_augmented=8, alpha=0.3, **{name: 0.0 for name in OPERATIONS if name != only})
    before = Counter(split(SENTENCES[0].texts[0].lower()).words)
    for copy in method.copies(SENTENCES[:1], 13):
        after = Counter(split(copy.texts[0].lower()).words)
        change = after.total() - before.total()
        assert {
            "replacement": change == 0 and after != before,
            "insertion": change > 0,
            "swap": after == before,
            "deletion": change < 0,
        }[only]


def test_a_rate_of_its_own_goes_before_alpha() -> None:
    text = example(" ".join(["film"] * 20))
    only = {"insertion": 0.0, "swap": 0.0, "deletion": 0.0, "num_augmented": 1}
    (some,), (many,) = (
        eda(alpha=0.2, **only).copies([text], 13),
        eda(alpha=0.2, replacement=0.5, **only).copies([text], 13),
    )
    assert (some.texts[0].count("movie"), many.texts[0].count("movie")) == (4, 10)


def test_each_text_of_a_pair_is_altered_by_itself() -> None:
    pair = example(("The good film", "The good film"))
    copies = eda(num_augmented=20).copies([pair], 13)
    assert all(len(copy.texts) == 2 for copy in copies)
    assert len({copy.texts[0] == copy.texts[1] for copy in copies}) == 2


@pytest.mark.parametrize(("size", "number"), [(1, 16), (500, 16), (501, 8), (2_000, 8), (2_001, 4)])
def test_the_papers_table_says_how_many_copies(size: int, number: int) -> None:
    assert len(eda().copies([example("a")] * size, 13)) == size * number


@given(sizes, st.sampled_from([0.3, 0.5, 1.0]))
def test_balancing_brings_small_classes_to_a_share_of_the_largest(counts: dict[str, int], share: float) -> None:
    examples = of_sizes(counts)
    copies = eda(balance=share).copies(examples, 13)
    assert len({copy.id for copy in copies}) == len(copies)
    after = Counter(x.label for x in [*examples, *copies])
    wanted = round(share * max(counts.values()))
    assert after == {label: max(count, wanted) for label, count in counts.items()}
    made = Counter(copy.id.split("+")[0] for copy in copies)
    for label in counts:
        each = [made[x.id] for x in examples if x.label == label]
        assert max(each) - min(each) <= 1


@given(sizes)
def test_balancing_does_not_depend_on_the_order(counts: dict[str, int]) -> None:
    examples = of_sizes(counts)
    first, second = (eda(balance=1.0).copies(order, 13) for order in (examples, examples[::-1]))
    assert {copy.id: copy for copy in first} == {copy.id: copy for copy in second}


def test_balancing_makes_no_more_copies_of_an_example_than_allowed() -> None:
    copies = eda(balance=1.0, num_augmented=2).copies(of_sizes({"a": 30, "b": 3, "c": 20}), 13)
    assert Counter(copy.label for copy in copies) == {"b": 6, "c": 10}


def test_numbers_have_no_classes_to_balance() -> None:
    assert eda(balance=1.0).copies([example("a good film", 1.5), example("a bad film", 0.5)], 13) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"alpha": 0},
        {"alpha": 1.0},
        {"swap": 1.0},
        {"num_augmented": 0},
        {"num_augmented": "many"},
        {"balance": 0},
        {"balance": 1.1},
        {"tasks": []},
        {"synonyms": "thesaurus"},
    ],
)
def test_what_is_out_of_range_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        eda(**fields)


def test_eda_without_any_operation_is_refused() -> None:
    with pytest.raises(ValidationError, match="one must be above 0, but all are 0; choose none instead of eda"):
        eda(**dict.fromkeys(OPERATIONS, 0.0))


def test_it_says_which_synonyms_it_takes() -> None:
    assert eda().describe() == "eda, shipped synonyms"
