"""From a ``data`` field to examples, end to end."""

from __future__ import annotations

import functools
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from mtsearch.data import sample
from mtsearch.data.catalogue import CATALOGUE
from mtsearch.data.examples import DataSet, Refusal, Wanted, WantedWords
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


# Words, and questions


def _tags(cell: Any, words: tuple[str, ...]) -> tuple[str, ...]:
    if len(cell) != len(words):
        raise ValueError(f"there must be {len(words)} tags, but are {len(cell)}")
    return tuple(cell)


def _anything(cell: Any, words: tuple[str, ...]) -> Any:
    return tuple(cell)


TAGGING = WantedWords(("upos", "tags", "pos_tags", "label"), _tags)
ENTITIES = WantedWords(("entities", "ner_tags", "label"), _tags)
DEPENDENCIES = WantedWords(("dependencies",), _anything)
ANSWERS = Wanted(2, tuple, structured=True)

TREEBANK = """\
# sent_id = a
1\tGo\tgo\tVERB\tVB\t_\t0\troot\t_\t_
2\t!\t!\tPUNCT\t.\t_\t1\tpunct\t_\t_

1\tbroken\tgo\tVERB\tVB\t_\t1\troot\t_\t_

1\tYes\tyes\tINTJ\tUH\t_\t0\troot\t_\t_
"""


@pytest.fixture
def treebank(tmp_path: Path) -> Path:
    """A folder of a small treebank with one broken sentence in train."""
    folder = tmp_path / "trees"
    folder.mkdir()
    (folder / "train.conllu").write_text(TREEBANK)
    (folder / "dev.conllu").write_text(TREEBANK.replace("\t1\troot", "\t0\troot").replace("\n", "\r\n"))
    return folder


@pytest.mark.parametrize(
    ("wanted", "options", "label"),
    [
        (TAGGING, {}, ("VERB", "PUNCT")),
        (TAGGING, {"layer": "xpos"}, ("VB", ".")),
        (TAGGING, {"columns": {"label": "deprels"}}, ("root", "punct")),
        (DEPENDENCIES, {}, ((0, "root"), (1, "punct"))),
    ],
)
def test_a_treebank_serves_each_kind_of_task_with_the_layer_it_is_for(
    wanted: WantedWords, options: dict[str, object], label: tuple[object, ...], treebank: Path
) -> None:
    source = DataSource.model_validate({"source": str(treebank), "max_bad_ratio": 0.5, **options})
    splits = load_data(source, wanted, None).splits
    example = splits["train"].examples[0]
    assert (example.id, example.texts, example.words, example.label) == ("a", ("Go !",), ("Go", "!"), label)
    assert [example.id for example in splits["dev"].examples] == ["a", "5", "7"]


def test_a_treebank_has_gold_tags_for_those_who_want_them(treebank: Path) -> None:
    source = DataSource(source=str(treebank), columns={"pos": "upos"}, max_bad_ratio=0.5)
    example = load_data(source, DEPENDENCIES, None).splits["train"].examples[0]
    assert example.tags == {"pos": (("VERB", "PUNCT"),)}


def test_the_description_of_sentences_counts_their_words(treebank: Path) -> None:
    data = load_data(DataSource(source=str(treebank), max_bad_ratio=0.5), TAGGING, None)
    assert describe(data) == (
        f"{treebank}: from a path ({treebank}); train 2 sentences of 3 words, dev 3 sentences of 4 words, no test; "
        "train refused line 5 (one word must be the root (head 0), but none has that head); "
        "2 of dev also stand in train"
    )


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (ONE, "a text under a common name, but are id, words, .*; choose a kind for words, such as tagging"),
        (ENTITIES, r"the label under a common name \(entities, ner_tags, label\), but are id, words, lemmas"),
        (ANSWERS, "two texts under a common name, but are id, words"),
    ],
)
def test_a_treebank_for_another_kind_of_task_is_told(
    wanted: Wanted | WantedWords, message: str, treebank: Path
) -> None:
    with pytest.raises(DataError, match=message):
        load_data(DataSource(source=str(treebank), max_bad_ratio=0.5), wanted, None)


def test_words_of_json_lines_or_csv_need_no_format_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text('{"tokens": ["New", "York"], "ner_tags": ["B-LOC", "I-LOC"]}\n')
    (tmp_path / "dev.csv").write_text("tokens,ner_tags\nNew York,B-LOC I-LOC\nNew York,O\n")
    splits = load_data(DataSource(source=str(tmp_path), max_bad_ratio=0.5), ENTITIES, None).splits
    assert splits["train"].examples[0].label == splits["dev"].examples[0].label == ("B-LOC", "I-LOC")
    assert splits["dev"].refused == (Refusal(3, "there must be 2 tags, but are 1"),)


# The layouts of data sets that are in no one's folder here, as their owners describe them

SMALL: dict[str, tuple[dict[str, str], list[tuple[tuple[str, ...], str]]]] = {
    # name: files of train and dev; texts and labels of train
    "sst2": (
        {"SST-2/train.tsv": "sentence\tlabel\nhide new secretions \t0\n", "SST-2/dev.tsv": "sentence\tlabel\na\t1\n"},
        [(("hide new secretions ",), "0")],
    ),
    "qqp": (
        dict.fromkeys(
            ("QQP/train.tsv", "QQP/dev.tsv"),
            "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n133273\t213221\t213222\tWhy?\tHow so?\t1\n",
        ),
        [(("Why?", "How so?"), "1")],
    ),
    "stsb_glue": (
        dict.fromkeys(
            ("STS-B/train.tsv", "STS-B/dev.tsv"),
            "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
            '0\tmain\tMSRvid\t2012\t0001\tnone\tnone\tA plane.\tA "plane.\t5.000\n',
        ),
        [(("A plane.", 'A "plane.'), "5.000")],
    ),
    "mnli": (
        {
            "MNLI/train.tsv": "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
            "sentence1_parse\tsentence2_parse\tsentence1\tsentence2\tlabel1\tgold_label\n"
            "0\t31193\t31193n\tgovernment\t( a )\t( b )\t(ROOT a)\t(ROOT b)\ta\tb\tneutral\tneutral\n",
            "MNLI/dev_matched.tsv": "index\tsentence1\tsentence2\tlabel1\tlabel2\tgold_label\n"
            "0\tmatched\tb\tneutral\tneutral\tentailment\n",
            "MNLI/dev_mismatched.tsv": "index\tsentence1\tsentence2\tgold_label\n0\tmismatched\tb\tneutral\n",
        },
        [(("a", "b"), "neutral")],
    ),
    "qnli": (
        dict.fromkeys(
            ("QNLI/train.tsv", "QNLI/dev.tsv"),
            "index\tquestion\tsentence\tlabel\n0\tWhen?\tIn 1887.\tentailment\n",
        ),
        [(("When?", "In 1887."), "entailment")],
    ),
    "wnli": (
        dict.fromkeys(
            ("WNLI/train.tsv", "WNLI/dev.tsv"), "index\tsentence1\tsentence2\tlabel\n0\tI stuck a pin.\tIt hurt.\t1\n"
        ),
        [(("I stuck a pin.", "It hurt."), "1")],
    ),
    "snli": (
        dict.fromkeys(
            ("snli_1.0/snli_1.0_train.txt", "snli_1.0/snli_1.0_dev.txt"),
            "gold_label\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse\tsentence1\t"
            "sentence2\tcaptionID\tpairID\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5\n"
            "neutral\t( a )\t( b )\t(ROOT a)\t(ROOT b)\ta\tb\t3.jpg#4\t3.jpg#4r1n\tneutral\t\t\t\t\n"
            "-\t( a )\t( b )\t(ROOT a)\t(ROOT b)\tc\td\t3.jpg#4\t3.jpg#4r1c\tneutral\tentailment\t\t\t\n",
        ),
        [(("a", "b"), "neutral")],
    ),
    "scitail": (
        dict.fromkeys(
            ("SciTailV1.1/tsv_format/scitail_1.0_train.tsv", "SciTailV1.1/tsv_format/scitail_1.0_dev.tsv"),
            'Water "boils.\tIt boils.\tentails\nIce melts.\tIt boils.\tneutral\n',
        ),
        [(('Water "boils.', "It boils."), "entails"), (("Ice melts.", "It boils."), "neutral")],
    ),
    "squad1": (
        dict.fromkeys(
            ("squad/train-v1.1.json", "squad/dev-v1.1.json"),
            '{"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": "In Rome.", "qas": [{"id": "q", '
            '"question": "Where?", "answers": [{"answer_start": 3, "text": "Rome"}]}]}]}]}',
        ),
        [(("Where?", "In Rome."), "Rome@3")],
    ),
    "conll2003": (
        dict.fromkeys(
            ("conll2003/eng.train", "conll2003/eng.testa", "conll2003/eng.testb"),
            "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n",
        ),
        [(("EU rejects",), "B-ORG O")],
    ),
}
SMALL["mnli_mismatched"] = SMALL["mnli"]
_WANTED: dict[str, Wanted | WantedWords] = {
    "squad1": Wanted(2, lambda answers: " ".join(f"{text}@{start}" for text, start in answers), structured=True),
    "conll2003": WantedWords(("ner_tags",), lambda cell, words: " ".join(cell)),
}


def _small(name: str, root: Path) -> DataSet:
    files, expected = SMALL[name]
    for file, text in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    return load_data(DataSource(source=name), _WANTED.get(name) or Wanted(len(expected[0][0]), str), root)


@pytest.mark.parametrize("name", SMALL)
def test_a_set_of_the_official_layout_is_read(name: str, tmp_path: Path) -> None:
    data = _small(name, tmp_path)
    assert [(example.texts, example.label) for example in data.splits["train"].examples] == SMALL[name][1]
    assert not any(split.refused for split in data.splits.values())


@pytest.mark.parametrize(("name", "first"), [("mnli", "matched"), ("mnli_mismatched", "mismatched")])
def test_the_two_dev_sets_of_mnli_are_two_sets(name: str, first: str, tmp_path: Path) -> None:
    assert _small(name, tmp_path).splits["dev"].examples[0].texts == (first, "b")


def test_pairs_without_a_gold_label_are_counted_and_not_refused(tmp_path: Path) -> None:
    data = _small("snli", tmp_path)
    assert data.remarks == tuple(
        f"1 of {split} are left out, since the data set gives no label" for split in ("train", "dev")
    )
    assert data.remarks[0] in describe(data)


def test_pairs_of_json_lines_without_a_gold_label_are_left_out_too(tmp_path: Path) -> None:
    for split in ("train", "dev"):
        pairs = [f'{{"gold_label": "{label}", "sentence1": "a", "sentence2": "b"}}\n' for label in ("neutral", "-")]
        (tmp_path / f"multinli_{split}.jsonl").write_text("".join(pairs))
    data = load_data(DataSource(source=str(tmp_path)), Wanted(2, str), None)
    assert [example.label for example in data.splits["train"].examples] == ["neutral"]
    assert data.remarks[0] == "1 of train are left out, since the data set gives no label"


def test_entities_and_parts_of_speech_of_conll_2003_are_told_by_the_kind_of_task(tmp_path: Path) -> None:
    _small("conll2003", tmp_path)
    for wanted, label in ((ENTITIES, ("B-ORG", "O")), (TAGGING, ("NNP", "VBZ"))):
        data = load_data(DataSource(source="conll2003", columns={"pos": "pos_tags"}), wanted, tmp_path)
        assert data.splits["test"].examples[0].label == label


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


# name: what is wanted; sentences, and words or answers, of train, dev and test
STRUCTURED: dict[str, tuple[Wanted | WantedWords, dict[str, tuple[int, int]]]] = {
    "ud_ewt": (TAGGING, {"train": (4043, 65638), "dev": (2001, 25147), "test": (2077, 25094)}),
    "wnut17": (ENTITIES, {"train": (3394, 62730), "dev": (1009, 15733), "test": (1287, 23394)}),
    "gum_const": (
        WantedWords(("tree",), _anything),
        {"train": (3000, 52293), "dev": (1575, 28119), "test": (1464, 28397)},
    ),
    "srl_propbank_ewt": (
        WantedWords(("propositions",), _anything),
        {"train": (2611, 43356), "dev": (1959, 24855), "test": (2049, 24900)},
    ),
    "squad": (ANSWERS, {"train": (2862, 4546), "dev": (639, 1242), "test": (610, 1140)}),
}


@pytest.mark.parametrize("name", STRUCTURED)
def test_a_real_structured_set_is_read_whole(name: str, real_data: Path) -> None:
    wanted, counts = STRUCTURED[name]
    data = load_data(DataSource(source=name), wanted, real_data)
    assert {
        split: (len(part.examples), sum(len(example.words or example.label) for example in part.examples))
        for split, part in data.splits.items()
    } == counts
    assert not any(part.refused for part in data.splits.values())


def test_sentences_of_real_trees_that_leak_are_counted(real_data: Path) -> None:
    wanted, _ = STRUCTURED["gum_const"]
    data = load_data(DataSource(source="gum_const"), wanted, real_data)
    assert (data.shared, data.duplicates) == ({"dev": 57, "test": 33}, 117)
    assert "train 3,000 sentences of 52,293 words, dev 1,575 sentences of 28,119 words" in describe(data)


def test_every_set_of_the_catalogue_is_held_to_real_or_small_data() -> None:
    assert {name for name, _ in COUNTS} | set(STRUCTURED) | set(SMALL) == set(CATALOGUE)


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
