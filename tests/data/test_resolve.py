"""From a ``data`` field to examples, end to end."""

from __future__ import annotations

import functools
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest

from mtsearch.data import sample
from mtsearch.data.catalogue import CATALOGUE
from mtsearch.data.examples import DataSet, Wanted
from mtsearch.data.resolve import describe, load_data
from mtsearch.data.source import DataSource
from mtsearch.errors import DataError

ONE = Wanted(1, str)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three small csv files; one dev text is also in train, one train row is bad."""
    (tmp_path / "train.csv").write_text('text,label\ngood,1\n"two\nlines",0\n,1\nbad,0\nGood,1\n')
    (tmp_path / "dev.csv").write_text("text,label\nGOOD,1\nnew,0\n")
    (tmp_path / "test.csv").write_text("text,label\nother,1\n")
    return tmp_path


def _load(folder: Path, **options: object) -> str:
    return load_data(DataSource.model_validate({"source": str(folder), **options}), ONE, None).content_hash


def test_a_folder_is_read_with_lines_refusals_hashes_and_leaks(folder: Path) -> None:
    data = load_data(DataSource(source=str(folder), max_bad_ratio=0.2), ONE, None)
    train = data.splits["train"]
    assert [(e.id, e.texts[0], e.label, e.line) for e in train.examples] == [
        ("2", "good", "1", 2),
        ("3", "two\nlines", "0", 3),
        ("6", "bad", "0", 6),
        ("7", "Good", "1", 7),
    ]
    assert [(refusal.line, refusal.reason) for refusal in train.refused] == [(5, "the text is empty")]
    assert train.sha256 == sha256((folder / "train.csv").read_bytes()).hexdigest()
    assert (data.shared, data.duplicates) == ({"dev": 1, "test": 0}, 1)


def test_the_description_is_one_line_with_all_that_was_noticed(folder: Path) -> None:
    data = load_data(DataSource(source=str(folder), max_bad_ratio=0.2), ONE, None)
    assert describe(data) == (
        f"{folder}: from a path ({folder}); train 4, dev 2, test 1; train refused line 5 (the text is empty); "
        "1 of dev also stand in train; 1 of train repeat others"
    )


def test_the_limit_takes_the_first_good_rows(folder: Path) -> None:
    data = load_data(DataSource(source=str(folder), limit=3, max_bad_ratio=0.2), ONE, None)
    assert [e.line for e in data.splits["train"].examples] == [2, 3, 6]
    assert len(data.splits["test"].examples) == 1


def test_the_content_hash_is_of_what_the_task_sees(folder: Path, tmp_path: Path) -> None:
    whole = _load(folder, max_bad_ratio=0.2)
    assert _load(folder, max_bad_ratio=0.5) == whole
    assert _load(folder, max_bad_ratio=0.2, limit=3) != whole
    assert _load(folder, max_bad_ratio=0.2, columns={"text": "label", "label": "text"}) != whole
    (folder / "dev.csv").write_text("label,text\r\n1,GOOD\r\n0,new\r\n")  # other bytes, the same examples
    assert _load(folder, max_bad_ratio=0.2) == whole
    (folder / "dev.csv").write_text("text,label\nGOOD,1\nnew,1\n")
    assert _load(folder, max_bad_ratio=0.2) != whole


def test_the_label_column_of_train_is_that_of_every_split(folder: Path) -> None:
    (folder / "train.csv").write_text("text,label\na,1\n")
    (folder / "dev.csv").write_text("text,score\na,0.5\n")
    with pytest.raises(DataError, match=r"dev\.csv: columns\.label must name one column .*\(text, score\)"):
        _load(folder)


def test_a_test_file_without_labels_is_no_test_split(folder: Path) -> None:
    (folder / "train.csv").write_text("text,label\na,1\n")
    (folder / "test.csv").write_text("id,text\n1,a\n")
    data = load_data(DataSource(source=str(folder)), ONE, None)
    assert list(data.splits) == ["train", "dev"]
    assert data.remarks == (f"no test split: {folder / 'test.csv'} has no column 'label'",)
    assert "dev 2, no test; " in describe(data)
    with pytest.raises(DataError, match=r"columns\.label must name one column"):
        _load(folder, splits={"test": "test.csv"})


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("", r"train\.csv: the file must hold rows, but is empty"),
        ("text,label\n", r"train\.csv: the file must hold rows, but has none"),
        ("text,label\na,1\nb\nc\n", r"at most 5\.0% of the rows .* 2 of 3 are \(66\.7%\); line 3: .*; line 4: "),
        ("text,mark\na,1\n", r"must include the label under a common name, but are text, mark; .*\{label: NAME\}"),
        ("body,label\na,1\n", r"must include a text under a common name, but are body, label"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_one_line(folder: Path, train: str, message: str) -> None:
    (folder / "train.csv").write_text(train)
    with pytest.raises(DataError, match=message) as told:
        _load(folder)
    assert "\n" not in str(told.value)


def test_a_file_of_broken_json_lines_is_told_as_that(tmp_path: Path) -> None:
    for split in ("train", "dev"):
        (tmp_path / f"{split}.jsonl").write_text("{broken\n")
    with pytest.raises(DataError, match=r"train\.jsonl: .* 1 of 1 are \(100\.0%\); line 1: the line is not JSON"):
        _load(tmp_path)


def test_labels_that_the_task_refuses_are_counted_with_its_reason(folder: Path) -> None:
    def read(raw: str) -> str:
        if raw != "1":
            raise ValueError(f"the label must be 1, but got {raw!r}")
        return raw

    with pytest.raises(
        DataError, match=r"line 3: the label must be 1, but got '0'; line 5: the text is empty; line 6: the label"
    ):
        load_data(DataSource(source=str(folder)), Wanted(1, read), None)


@pytest.mark.parametrize("columns", [{}, {"text_a": "premise", "text_b": "hypothesis", "label": "gold"}])
def test_jsonl_is_read_by_common_or_given_names(tmp_path: Path, columns: dict[str, str]) -> None:
    row = '{"premise": "a", "hypothesis": "b", "label": 1, "gold": "yes"}\n'
    for split in ("train", "dev"):
        (tmp_path / f"{split}.jsonl").write_text(row)
    data = load_data(DataSource.model_validate({"source": str(tmp_path), "columns": columns}), Wanted(2, str), None)
    assert [(e.texts, e.label) for e in data.splits["dev"].examples] == [(("a", "b"), "yes" if columns else "1")]


def test_a_file_without_a_header_is_read_by_column_numbers(tmp_path: Path) -> None:
    for split in ("train", "dev"):
        (tmp_path / f"{split}.tsv").write_text("1\tfirst\n0\tsecond\n")
    source = DataSource(source=str(tmp_path), columns={"text": "2", "label": "1"})
    examples = load_data(source, ONE, None).splits["train"].examples
    assert [(e.texts, e.label, e.line) for e in examples] == [(("first",), "1", 1), (("second",), "0", 2)]


def test_the_sample_corpus_has_what_the_catalogue_sets_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("MTSEARCH_CACHE", str(tmp_path))
    small = functools.partial(sample.write, sizes={"train": 40, "dev": 10, "test": 10})
    monkeypatch.setattr(sample, "write", small)
    for name, num_texts in (("sst5", 1), ("quora", 2), ("stsb", 2)):
        data = load_data(DataSource(source=name), Wanted(num_texts, float), None)
        assert data.origin == "sample"
        assert describe(data).startswith(f"{name}: sample corpus (generated), because no --data was given and ")
        assert not any(split.refused for split in data.splits.values())
        assert set(data.splits) == {"train", "dev", "test"}


# The catalogue against the real data

COUNTS: dict[tuple[str, str | None], tuple[tuple[int, int, int | None], dict[str, int] | None]] = {
    # name, layer: rows of train, dev, test; classes of train
    ("sst5", None): ((8544, 1101, 2210), {"0": 1092, "1": 2218, "2": 1624, "3": 2322, "4": 1288}),
    ("quora", None): ((16213, 2000, 1999), {"0.0": 10158, "1.0": 6055}),
    ("stsb", None): ((6040, 863, None), None),
    ("cfimdb", None): ((800, 245, None), {"0": 421, "1": 379}),
    ("mrpc", None): ((3667, 408, 1725), {"0": 1194, "1": 2473}),
    ("rte", None): ((2490, 277, None), {"entailment": 1249, "not_entailment": 1241}),
    ("cola", None): ((8551, 1043, None), {"0": 2528, "1": 6023}),
    ("sick", "relatedness"): ((4500, 500, 4927), None),
    ("sick", "entailment"): ((4500, 500, 4927), {"NEUTRAL": 2536, "ENTAILMENT": 1299, "CONTRADICTION": 665}),
    ("trec", None): (
        (4952, 500, 500),
        {"HUM": 1122, "ENTY": 1120, "DESC": 1050, "NUM": 817, "LOC": 759, "ABBR": 84},
    ),
    ("trec", "fine"): ((4952, 500, 500), None),
    ("subj", None): ((4800, 600, 600), {"objective": 2371, "subjective": 2429}),
    ("mpqa", None): ((6302, 769, 775), {"neg": 4366, "pos": 1936}),
    ("cr", None): ((3018, 376, 377), {"neg": 1089, "pos": 1929}),
}
PAIRS = {"quora", "stsb", "mrpc", "rte", "sick"}


def _real(name: str, layer: str | None, root: Path) -> DataSet:
    return load_data(DataSource(source=name, layer=layer), Wanted(2 if name in PAIRS else 1, str), root)


@pytest.mark.parametrize(("name", "layer"), COUNTS)
def test_a_real_set_has_the_rows_and_classes_of_its_origin(name: str, layer: str | None, real_data: Path) -> None:
    rows, classes = COUNTS[name, layer]
    data = _real(name, layer, real_data)
    sizes = {split: size for split, size in zip(("train", "dev", "test"), rows, strict=True) if size is not None}
    assert {split: len(part.examples) for split, part in data.splits.items()} == sizes
    if classes is not None:
        assert Counter(example.label for example in data.splits["train"].examples) == classes
    if name != "quora":
        assert not any(part.refused for part in data.splits.values())


def test_every_set_of_the_catalogue_is_held_to_real_data() -> None:
    assert {name for name, _ in COUNTS} == set(CATALOGUE)


def test_the_two_broken_rows_of_quora_are_refused_by_line(real_data: Path) -> None:
    splits = _real("quora", None, real_data).splits
    assert {name: [(r.line, r.reason) for r in split.refused] for name, split in splits.items()} == {
        "train": [(2027, "the label is empty")],
        "dev": [],
        "test": [(1439, "the text is empty")],
    }


@pytest.mark.parametrize(
    ("name", "shared", "duplicates"),
    [
        ("sst5", {"dev": 2, "test": 2}, 10),
        ("stsb", {"dev": 16}, 43),
        ("quora", {"dev": 0, "test": 0}, 0),
        ("trec", {"dev": 8, "test": 11}, 65),
        ("mpqa", {"dev": 0, "test": 0}, 1502),
    ],
)
def test_leaks_of_real_sets_are_counted(name: str, shared: dict[str, int], duplicates: int, real_data: Path) -> None:
    data = _real(name, None, real_data)
    assert (data.shared, data.duplicates) == (shared, duplicates)


def test_quora_is_read_well_under_a_second(real_data: Path) -> None:
    begin = time.process_time()
    _real("quora", None, real_data)
    assert time.process_time() - begin < 1.0
