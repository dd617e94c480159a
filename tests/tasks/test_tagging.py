"""Tags: losses worked by hand and by all paths, what is refused, windows and CoNLL-U."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mtsearch.data.windows import windows_of
from mtsearch.errors import DataError
from mtsearch.tasks.contract import Inventory, Logits
from tests.tasks.decoding.batches import mask_of
from tests.tasks.structures import sentence, targets_of, task_of

ABC = Inventory(("A", "B", "C"), (1, 1, 1))
PLAIN, CRF = task_of("tagging"), task_of("tagging", head={"crf": True})


def crf_logits(seed: int, lengths: list[int]) -> Logits:
    rng = torch.Generator().manual_seed(seed)
    shared = {name: torch.randn(*size, generator=rng) for name, size in NEIGHBOURS.items()}
    return Logits(torch.randn(len(lengths), max(lengths), 3, generator=rng), mask_of(lengths), shared=shared)


NEIGHBOURS = {"transitions": (3, 3), "starts": (3,), "ends": (3,)}


def score(logits: Logits, row: int, path: tuple[int, ...]) -> Tensor:
    """Of one path of tags."""
    before_after = itertools.pairwise(path)
    return (
        sum((logits.values[row, word, tag] for word, tag in enumerate(path)), torch.zeros(()))
        + sum((logits.shared["transitions"][pair] for pair in before_after), torch.zeros(()))
        + logits.shared["starts"][path[0]]
        + logits.shared["ends"][path[-1]]
    )


@pytest.mark.parametrize("task", [PLAIN, CRF], ids=["plain", "crf"])
def test_undecided_scores_cost_each_word_the_logarithm_of_the_number_of_tags(task: object) -> None:
    rows = [sentence(3, ("A", "B", "C")), sentence(2, ("C", "C"))]
    shared = {name: torch.zeros(*size) for name, size in NEIGHBOURS.items()} if task is CRF else {}
    logits = Logits(torch.zeros(2, 3, 3), mask_of([3, 2]), shared=shared)
    targets = targets_of(PLAIN, rows, ABC)
    assert float(task.loss(logits, targets, ABC)) == pytest.approx(5 * math.log(3))  # type: ignore[attr-defined]
    assert float(task.loss_weight(targets, ABC)) == 5  # type: ignore[attr-defined]


def test_without_a_crf_a_word_costs_its_own_cross_entropy() -> None:
    values = torch.tensor([[[math.log(2), 0.0, 0.0], [0.0, 0.0, math.log(6)]]])
    loss = PLAIN.loss(Logits(values, mask_of([2])), targets_of(PLAIN, [sentence(2, ("A", "C"))], ABC), ABC)
    assert float(loss) == pytest.approx(-math.log(2 / 4) - math.log(6 / 8))


def test_label_smoothing_spreads_a_share_of_the_target() -> None:
    task = task_of("tagging", label_smoothing=0.3)
    values = torch.tensor([[[math.log(2), 0.0, 0.0]]])
    loss = task.loss(Logits(values, mask_of([1])), targets_of(task, [sentence(1, ("A",))], ABC), ABC)
    assert float(loss) == pytest.approx(-0.8 * math.log(1 / 2) - 0.2 * math.log(1 / 4))


TAGS = st.lists(st.lists(st.sampled_from("ABC?"), min_size=1, max_size=4), min_size=1, max_size=2)


@settings(max_examples=40)
@given(TAGS, st.integers(0, 1000))
def test_a_crf_costs_the_likelihood_of_all_paths_through_the_known_tags(rows: list[list[str]], seed: int) -> None:
    lengths = [len(row) for row in rows]
    logits = crf_logits(seed, lengths)
    expected = torch.zeros(())
    for number, tags in enumerate(rows):
        paths = list(itertools.product(range(3), repeat=len(tags)))
        right = [p for p in paths if all(tag in ("?", "ABC"[at]) for tag, at in zip(tags, p, strict=True))]
        scores, of_right = (torch.stack([score(logits, number, path) for path in some]) for some in (paths, right))
        expected = expected + scores.logsumexp(0) - of_right.logsumexp(0)
    targets = targets_of(CRF, [sentence(len(tags), tuple(tags)) for tags in rows], ABC)
    torch.testing.assert_close(CRF.loss(logits, targets, ABC), expected)


@settings(max_examples=40)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=2), st.integers(0, 1000))
def test_a_crf_decodes_to_the_best_of_all_paths(lengths: list[int], seed: int) -> None:
    logits = crf_logits(seed, lengths)
    for number, one in enumerate(CRF.decode(logits, ABC)):
        paths = itertools.product(range(3), repeat=lengths[number])
        best = max(paths, key=lambda path, row=number: score(logits, row, path).item())  # type: ignore[misc]
        assert one["prediction"] == ["ABC"[tag] for tag in best]


def test_one_tag_is_not_enough() -> None:
    with pytest.raises(DataError, match=r"x: tagging needs at least two tags, but .* only A; check data\.layer"):
        PLAIN.inventory([sentence(2, ("A", "A"))])


def test_the_inventory_counts_the_words_tags() -> None:
    inventory = PLAIN.inventory([sentence(2, ("B", "A")), sentence(1, ("B",))])
    assert (inventory.labels, inventory.counts) == (("A", "B"), (1, 2))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (["A"], r"as many as the words \(2\), but are 1"),
        (["A", " "], "must be text that is not empty, but one is ' '"),
        (["A", 3], "one is 3"),
    ],
)
def test_tags_that_do_not_fit_the_words_are_refused(raw: list[object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        PLAIN.wanted.read_label(raw, ("a", "b"))  # type: ignore[call-arg]


def test_each_word_has_the_tag_from_its_own_window() -> None:
    windows = windows_of([(0, 4), (2, 6)])
    predictions = [{"prediction": list("abcd")}, {"prediction": list("CDEF")}]
    assert PLAIN.merge(predictions, windows, sentence(6, None))["prediction"] == ["a", "b", "c", "D", "E", "F"]


def test_a_prediction_is_written_as_conllu() -> None:
    lines = PLAIN.render(sentence(2, None), {"prediction": ["DET", "NOUN"]}).split("\n")
    assert lines == ["# text = a b", "1\ta\t_\tDET" + 6 * "\t_", "2\tb\t_\tNOUN" + 6 * "\t_", ""]
    xpos = task_of("tagging", data={"source": "x", "layer": "xpos"})
    assert xpos.render(sentence(1, None), {"prediction": ["NN"]}).split("\n")[1] == "1\ta\t_\t_\tNN" + 5 * "\t_"
