"""What holds of every kind of task on words, whichever its task head."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mtsearch.data.examples import Example
from mtsearch.data.tokens import tokenise_uncached
from mtsearch.data.windows import Window
from mtsearch.tasks.contract import Inventory, Logits
from mtsearch.training.rows import row_examples
from tests.data.families import build_tokenizer
from tests.tasks.structures import CASES, Case, build_head, encoded, plain, row_of, sentence, sentences, targets_of

of_each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
some = settings(max_examples=30)

LABELS = {
    "tagging": [("A", "B", "C", "A"), ("C",), ("B", "B")],
    "ner": [((0, 2, "A"), (3, 4, "B")), (), ((1, 2, "B"),)],
    "dependency": [((2, "A"), (0, "B"), (4, "C"), (2, "A")), ((0, "A"),), ((0, "B"), (1, "C"))],
    "constituency": [
        (("NN",) * 4, ((0, 4, "A"), (0, 4, "B"), (0, 2, "A"), (3, 4, "B"))),
        (("NN",), ()),
        (("NN",) * 2, ((0, 2, "B"),)),
    ],
    "srl": [((1, ((0, 1, "A"), (2, 4, "B"))), (2, ())), (), ((0, ((1, 2, "A"),)),)],
}
LENGTHS = (4, 1, 2)


def rows_of(case: Case) -> list[Example]:
    return [sentence(n, label) for n, label in zip(LENGTHS, LABELS[case.task.kind], strict=True)]


def structure(case: Case, label: object) -> object:
    """What of a label is predicted."""
    return plain(label)[1] if case.task.kind == "constituency" else plain(label)  # type: ignore[index]


def total_loss(case: Case, logits: Logits, rows: Sequence[Example], inventory: Inventory | None = None) -> Tensor:
    inventory = inventory or case.inventory
    return case.task.loss(logits, targets_of(case.task, rows, inventory), inventory)


@of_each_case
@some
@given(data=st.data())
def test_scores_that_leave_no_doubt_cost_nothing_and_decode_to_gold(case: Case, data: st.DataObject) -> None:
    rows = data.draw(sentences(case))
    logits = case.logits(rows)
    assert float(total_loss(case, logits, rows)) == pytest.approx(0, abs=1e-3)
    decoded = case.task.decode(logits, case.inventory)
    assert [structure(case, one["prediction"]) for one in decoded] == [structure(case, row.label) for row in rows]


@of_each_case
@some
@given(data=st.data())
def test_any_other_label_costs_as_much_as_the_scores_are_sure(case: Case, data: st.DataObject) -> None:
    (row,) = data.draw(sentences(case).filter(lambda rows: len(rows) == 1))
    other = data.draw(case.labels(len(row.words or ())).map(lambda label: sentence(len(row.words or ()), label)))
    if structure(case, row.label) != structure(case, other.label):
        assert float(total_loss(case, case.logits([row]), [other])) > 30


@of_each_case
@pytest.mark.parametrize("seed", range(2))
def test_a_batch_is_its_rows_whatever_stands_in_the_padding(case: Case, seed: int) -> None:
    rows, head = rows_of(case), build_head(case, seed)
    targets = targets_of(case.task, rows, case.inventory)
    batch = encoded(LENGTHS, targets, seed)
    batch.tokens_BLD[~batch.mask_BL] = 1e3
    logits = head(batch)
    loss, weight = case.task.loss(logits, targets, case.inventory), case.task.loss_weight(targets, case.inventory)
    decoded = case.task.decode(logits, case.inventory, targets)
    assert float(weight) == sum(LENGTHS)
    alone = []
    for number, row in enumerate(rows):
        own = targets_of(case.task, [row], case.inventory)
        logits = head(row_of(batch, number, own))
        alone.append(case.task.loss(logits, own, case.inventory))
        assert plain(case.task.decode(logits, case.inventory, own)) == plain(decoded[number : number + 1])
    torch.testing.assert_close(loss, torch.stack(alone).sum())


@of_each_case
@pytest.mark.parametrize("autocast", [False, True])
def test_gradients_are_finite_and_none_goes_into_the_padding(case: Case, autocast: bool) -> None:
    rows, head = rows_of(case), build_head(case).train()
    targets = targets_of(case.task, rows, case.inventory)
    batch = encoded(LENGTHS, targets)
    batch.tokens_BLD.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
        logits = head(batch)
        loss = case.task.loss(logits, targets, case.inventory)
        case.task.decode(logits, case.inventory, targets)
    assert loss.dtype == torch.float32
    assert loss.item() > 0
    loss.backward()
    assert batch.tokens_BLD.grad is not None
    assert batch.tokens_BLD.grad.isfinite().all()
    assert not batch.tokens_BLD.grad[~batch.mask_BL].any()
    read = [p for name, p in head.named_parameters() if name != "mark"]  # which the encoder reads, not the head
    assert all(p.grad is not None and p.grad.isfinite().all() for p in read)
    assert any(p.grad.any() for p in head.parameters() if p.grad is not None)


@of_each_case
def test_the_loss_has_second_derivatives(case: Case) -> None:
    # As SophiaH wants them: the Hessian times a vector, against a difference of gradients.
    head, targets = build_head(case), targets_of(case.task, rows_of(case), case.inventory)
    batch = encoded(LENGTHS, targets)
    parameters = [parameter for parameter in head.parameters() if parameter.numel()]
    vector = [torch.randn_like(parameter) for parameter in parameters]

    def gradients(*, create_graph: bool = False) -> Sequence[Tensor]:
        loss = case.task.loss(head(batch), targets, case.inventory)
        return torch.autograd.grad(loss, parameters, create_graph=create_graph, materialize_grads=True)

    along = torch.stack([(g * v).sum() for g, v in zip(gradients(create_graph=True), vector, strict=True)]).sum()
    products = torch.autograd.grad(along, parameters, materialize_grads=True)
    assert all(product.isfinite().all() for product in products)
    differences, step = [], 1e-3
    for sign in (1, -1):
        with torch.no_grad():
            for parameter, direction in zip(parameters, vector, strict=True):
                parameter += sign * step * direction
        differences.append(gradients())
        with torch.no_grad():
            for parameter, direction in zip(parameters, vector, strict=True):
                parameter -= sign * step * direction
    expected = torch.cat([((a - b) / (2 * step)).flatten() for a, b in zip(*differences, strict=True)])
    found = torch.cat([product.flatten() for product in products])
    assert torch.cosine_similarity(found, expected, dim=0) > 0.99


@of_each_case
def test_an_untrained_head_learns_from_its_first_step(case: Case) -> None:
    # The matrices of biaffine scores start at zero.
    rows = rows_of(case)
    targets = targets_of(case.task, rows, case.inventory)
    torch.manual_seed(0)
    head = case.task.build_head(8, "mean", case.inventory)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    losses = []
    for _ in range(40):
        loss = case.task.loss(head(encoded(LENGTHS, targets)), targets, case.inventory)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@of_each_case
def test_predictions_are_json(case: Case) -> None:
    rows = rows_of(case)
    targets = targets_of(case.task, rows, case.inventory)
    for logits in (case.logits(rows), build_head(case)(encoded(LENGTHS, targets))):
        for one in case.task.decode(logits, case.inventory, targets):
            assert json.loads(json.dumps(one)) == plain(one)


@of_each_case
def test_labels_that_train_lacks_are_counted_and_are_no_targets(case: Case) -> None:
    rows = rows_of(case)
    known = Inventory(case.inventory.labels[:1], case.inventory.counts[:1])
    unknown = case.task.unknown_labels(rows, known)
    assert unknown
    assert not set(unknown) & set(known.labels)
    assert not case.task.unknown_labels(rows, case.inventory)
    head = case.task.build_head(8, "mean", known)
    targets = targets_of(case.task, rows, known)
    loss = case.task.loss(head(encoded(LENGTHS, targets)), targets, known)
    assert 0 <= loss.item() < float("inf")
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None or p.grad.isfinite().all() for p in head.parameters())


@of_each_case
def test_the_distance_is_nothing_between_equals_and_something_between_others(case: Case) -> None:
    head, targets = build_head(case), targets_of(case.task, rows_of(case), case.inventory)
    batch = encoded(LENGTHS, targets)
    first, second = head(batch), head(encoded(LENGTHS, targets, seed=1))
    assert case.task.distance(first, first.detached(), case.inventory).item() == 0
    there, back = (case.task.distance(*pair, case.inventory) for pair in ((first, second), (second, first)))
    assert there.item() > 0
    torch.testing.assert_close(there, back)
    nearly = first.with_rows([scores + 1e-3 * torch.randn_like(scores) for scores in first.of_rows])
    assert 0 < case.task.distance(first, nearly, case.inventory).item() < 0.1 * there.item()


@of_each_case
def test_the_distance_has_finite_gradients_and_passes_over_the_padding(case: Case) -> None:
    head, targets = build_head(case), targets_of(case.task, rows_of(case), case.inventory)
    batches = [encoded(LENGTHS, targets, seed) for seed in (0, 1)]
    distances = []
    for stuff in (0.0, 1e3):
        for batch in batches:
            batch.tokens_BLD.requires_grad_(False)[~batch.mask_BL] = stuff
            batch.tokens_BLD.requires_grad_()
        distance = case.task.distance(*(head(batch) for batch in batches), case.inventory)
        distance.backward()
        distances.append(distance.item())
        for batch in batches:
            assert batch.tokens_BLD.grad is not None
            assert batch.tokens_BLD.grad.isfinite().all()
            assert not batch.tokens_BLD.grad[~batch.mask_BL].any()
    assert distances[0] == pytest.approx(distances[1])


@of_each_case
def test_in_the_distance_nothing_counts_that_the_mask_leaves_out(case: Case) -> None:
    head, targets = build_head(case), targets_of(case.task, rows_of(case), case.inventory)
    first, second = (head(encoded(LENGTHS, targets, seed)).detached() for seed in (0, 1))
    expected = case.task.distance(first, second, case.inventory)
    for one, number in ((first, torch.nan), (second, torch.inf)):
        one.values[~one.mask] = number
    here = first.with_rows([scores.clone().requires_grad_() for scores in first.of_rows])
    distance = case.task.distance(here, second, case.inventory)
    torch.testing.assert_close(distance, expected)
    distance.backward()
    assert all(scores.grad is not None and scores.grad.isfinite().all() for scores in here.of_rows)


# Through the tokenizer, in windows

WORDS = ("a", "film", "bad", "n't", "very", "z", "\u200b", "1990s", "\x00", "Zoë")


def long_sentence(label: object, words: tuple[str, ...]) -> Example:
    return Example("1", (" ".join(words),), label, 1, words)


def through_windows(case: Case, example: Example, max_length: int = 24) -> tuple[object, list[Window]]:
    """What comes out where each row is sure of what it shows; and its windows."""
    table = tokenise_uncached([example], build_tokenizer("bert"), "words", max_length)
    rows = row_examples(case.task, [example], table)
    columns = case.task.encode_targets(rows, case.inventory)
    assert {len(column) for column in columns.values()} == {len(rows)}
    decoded = [one for row in rows for one in case.task.decode(case.logits([row]), case.inventory)]
    windows = table.windows(range(len(rows)))
    merged = case.task.merge(decoded, windows, example)
    assert json.loads(json.dumps(merged)) == plain(merged)
    return plain(merged["prediction"]), windows


def words_for(data: st.DataObject, num_words: int, longest: int = 60) -> tuple[str, ...]:
    words = st.lists(st.sampled_from(WORDS), min_size=num_words, max_size=longest)
    return tuple(data.draw(words))


few = settings(max_examples=8)


def shows(window: Window, start: int, end: int) -> bool:
    return window.first <= start and end <= window.end


@pytest.mark.parametrize("name", ["tagging", "tagging crf"])
@few
@given(data=st.data())
def test_tags_of_long_sentences_come_back_whole(name: str, data: st.DataObject) -> None:
    words = words_for(data, 20)
    label = data.draw(CASES[name].labels(len(words)))
    found, windows = through_windows(CASES[name], long_sentence(label, words))
    assert found == plain(label)
    assert len(windows) > 1 or len(words) < 23


def test_a_word_longer_than_a_window_has_its_tag() -> None:
    words = ("a", "z" * 50, "bad")
    assert through_windows(CASES["tagging"], long_sentence(("A", "B", "C"), words))[0] == ["A", "B", "C"]


@pytest.mark.parametrize("name", ["ner", "ner best", "ner bio", "ner bio crf"])
@few
@given(data=st.data())
def test_entities_that_a_window_shows_whole_come_back(name: str, data: st.DataObject) -> None:
    words = words_for(data, 20)
    label = data.draw(CASES[name].labels(len(words)))
    found, windows = through_windows(CASES[name], long_sentence(label, words))
    assert found == [list(span) for span in label if any(shows(window, *span[:2]) for window in windows)]


@few
@given(data=st.data())
def test_arcs_that_their_words_own_windows_show_come_back(data: st.DataObject) -> None:
    # Words of one token: windows of 22 words overlap by 8, so that each shows four beside its own.
    arcs = [(0, "A")]
    for word in range(2, 61):
        arcs.append((data.draw(st.integers(max(1, word - 4), word - 1)), data.draw(st.sampled_from("ABC"))))
    label = tuple(arcs)
    if data.draw(st.booleans()):
        label = tuple((61 - head if head else 0, relation) for head, relation in reversed(label))
    found, windows = through_windows(CASES["dependency"], long_sentence(label, ("bad",) * 60))
    assert len(windows) == 4
    assert found == plain(label)


@few
@given(data=st.data())
def test_the_heads_of_a_long_sentence_are_always_one_tree(data: st.DataObject) -> None:
    words = words_for(data, 20, 40)
    case = CASES["dependency"]
    found, _ = through_windows(case, long_sentence(data.draw(case.labels(len(words))), words))
    assert case.task.wanted.read_label(found, words)  # type: ignore[call-arg]


@few
@given(data=st.data())
def test_phrases_within_the_words_of_one_window_come_back_and_what_comes_is_a_tree(data: st.DataObject) -> None:
    words, case = words_for(data, 20, 40), CASES["constituency"]
    label = data.draw(case.labels(len(words)))
    found, windows = through_windows(case, long_sentence(label, words))
    _, phrases = case.task.wanted.read_label((["NN"] * len(words), found[1]), words)  # type: ignore[call-arg, index]
    assert [list(phrase) for phrase in phrases] == found[1]  # type: ignore[index]
    for start, end, name in label[1]:
        if any(window.own_first <= start and end <= window.own_end for window in windows):
            assert (start, end, name) in phrases


@few
@given(data=st.data())
def test_predicates_come_back_with_the_arguments_that_their_own_windows_show(data: st.DataObject) -> None:
    words, case = words_for(data, 20, 40), CASES["srl"]
    label = data.draw(case.labels(len(words)))
    found, windows = through_windows(case, long_sentence(label, words))
    owner = {word: window for window in windows for word in window.own}
    expected = [
        [predicate, [list(argument) for argument in arguments if shows(owner[predicate], *argument[:2])]]
        for predicate, arguments in label
    ]
    assert found == expected


@of_each_case
def test_what_a_short_sentence_shows_is_all_of_it(case: Case) -> None:
    for row in rows_of(case):
        found, windows = through_windows(case, row)
        assert len(windows) == 1
        assert found == plain(row.label) or structure(case, row.label) == found[1]  # type: ignore[index]
