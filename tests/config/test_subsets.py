"""Which tasks a trial has, as one dimension: ``tasks: {subsets: {of: ..., sizes: ..., sets: ...}}``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mtsearch.config.domains import Categorical
from mtsearch.config.load import load_space
from mtsearch.config.space import SearchSpace, diff
from mtsearch.errors import ConfigError
from tests.config.spaces import space_of

OF = """\
tasks:
  subsets:
    of:
      mood: {kind: classification, data: sst5, weight: {choice: [1.0, 2.0]}}
      same: {kind: pair_classification, data: quora}
      near: {kind: pair_regression, data: stsb, low: 0, high: 5}
"""
SIZES = OF + "    sizes: [1, 3]\n"
APART = "search: {algorithm: {name: random}, scheduler: {name: none}}\n"
JOINT = "mood+same+near"

Read = Callable[..., SearchSpace]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    return lambda text, *overrides: space_of(text, tmp_path, *overrides)


def sets_of(space: SearchSpace) -> tuple[object, ...]:
    domain = space.dimensions()[0].domain
    assert isinstance(domain, Categorical)
    return domain.options


def test_the_sets_are_one_dimension_and_a_tasks_own_settings_keep_their_paths(read: Read) -> None:
    space = read(SIZES + APART)
    assert [(d.name, d.path, d.domain, d.condition) for d in space.dimensions()] == [
        ("tasks", "tasks", Categorical(("mood", "same", "near", JOINT)), ""),
        ("tasks.mood.weight", "tasks.mood.weight", Categorical((1.0, 2.0)), "tasks include mood"),
    ]


def test_a_trial_has_the_tasks_of_its_set_and_only_their_settings(read: Read) -> None:
    space = read(SIZES + APART)
    joint = space.config_from_params({"tasks": JOINT, "tasks.mood.weight": 2.0})
    assert list(joint.tasks) == ["mood", "same", "near"]
    assert joint.tasks["mood"].weight == 2.0
    assert list(space.config_from_params({"tasks": "same"}).tasks) == ["same"]
    with pytest.raises(ConfigError, match=r"tasks\.mood\.weight: recorded, but not searched at this point"):
        space.config_from_params({"tasks": "same", "tasks.mood.weight": 2.0})


def test_sizes_take_all_sets_in_the_order_of_the_tasks_and_listed_sets_follow(read: Read) -> None:
    assert sets_of(read(OF + "    sizes: [2, 1]\n    sets: [[near, same, mood]]\n" + APART)) == (
        "mood+same",
        "mood+near",
        "same+near",
        "mood",
        "same",
        "near",
        JOINT,
    )
    assert sets_of(read(OF + "    sets: [[near, mood], [same]]\n" + APART)) == ("mood+near", "same")


def test_five_singles_ten_pairs_and_one_joint_are_sixteen() -> None:
    of = {name: {"kind": "classification", "data": "sst5"} for name in ("pos", "ner", "dep", "con", "srl")}
    search = {"algorithm": {"name": "grid"}, "scheduler": {"name": "none"}}
    space = load_space({"tasks": {"subsets": {"of": of, "sizes": [1, 2, 5]}}, "search": search})
    assert (space.size(), space.search.trials, len(space.task_sets())) == (16, 16, 16)


def test_all_settings_of_a_task_are_tried_out_when_a_space_is_read(read: Read) -> None:
    broken = SIZES.replace("high: 5", "high: 5, weight: {choice: [1.0, -1.0]}")
    with pytest.raises(ConfigError, match=r"x\.yaml:6:89: tasks\.near\.weight: must be > 0, but got -1"):
        read(broken + APART)


def test_a_resolved_space_reads_back_as_the_same_one(read: Read) -> None:
    space = read(SIZES + APART)
    again = read(space.to_yaml())
    assert again == space
    assert again.identity() == space.identity()


def test_a_change_of_the_sets_or_of_a_task_is_told(read: Read) -> None:
    before, after = (
        read(SIZES + APART),
        read(OF.replace("[1.0, 2.0]", "[1.0, 3.0]") + "    sets: [[mood], [same, near]]\n" + APART),
    )
    assert diff(before.identity(), after.identity()) == [
        "tasks: subsets [mood, same, near, mood+same+near] -> subsets [mood, same+near]",
        "tasks.mood.weight: choice [1, 2] -> choice [1, 3]",
    ]


def test_the_sets_may_be_an_option_of_a_choice(read: Read) -> None:
    text = """\
tasks:
  choice:
    - {label: fixed, value: {mood: {kind: classification, data: sst5}}}
    - subsets:
        of: {same: {kind: pair_classification, data: quora}, mood: {kind: classification, data: sst5}}
        sizes: [1]
"""
    space = read(text + APART)
    assert [(d.name, d.domain) for d in space.dimensions()] == [
        ("tasks", Categorical(("fixed", "subsets"))),
        ("tasks[subsets]", Categorical(("same", "mood"))),
    ]
    assert space.task_sets() == (("mood",), ("same",))


def test_the_sets_of_tasks_are_known_where_tasks_may_be_null(read: Read) -> None:
    text = (
        "tasks:\n  a: {kind: classification, data: sst5}\n  b: {choice: [null, {kind: classification, data: sst5}]}\n"
    )
    assert read(text + "search: {scored_tasks: [a]}\n").task_sets() == (("a", "b"), ("a",))


def test_same_as_may_name_a_setting_of_a_task_that_is_there(read: Read) -> None:
    shared = SIZES.replace("data: quora", "data: quora, weight: {same_as: tasks.mood.weight}")
    with pytest.raises(ConfigError, match=r"tasks\.mood\.weight names nothing that is there.*\(where tasks = same\)"):
        read(shared + APART)
    space = read(shared.replace("sizes: [1, 3]", "sets: [[mood, same], [mood, near]]") + APART)
    assert space.config_from_params({"tasks": "mood+same", "tasks.mood.weight": 2.0}).tasks["same"].weight == 2.0


@pytest.mark.parametrize(("value", "tasks"), [("same", ["same"]), ("near+mood", ["mood", "near"])])
def test_a_set_is_fixed_from_the_command_line_listed_or_not(read: Read, value: str, tasks: list[str]) -> None:
    space = read(SIZES + APART, f"tasks={value}")
    assert list(space.default.tree["tasks"]) == tasks
    assert {d.name for d in space.dimensions()} <= {"tasks.mood.weight"}


def test_a_task_of_the_sets_is_changed_or_left_out_from_the_command_line(read: Read) -> None:
    assert len(read(SIZES + APART, "tasks.mood.weight=3").dimensions()) == 1
    assert sets_of(read(OF + "    sizes: [1, 2, 3]\n" + APART, "tasks.same=null")) == ("mood", "near", "mood+near")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("tasks=moos", "tasks: must name tasks of mood, same, near, joined by +, but got the text 'moos'"),
        ("tasks.moood.weight=1", "tasks.moood: is not there; did you mean mood?"),
        ("tasks.mood.wieght=1", "tasks.mood.wieght: unknown key; did you mean weight?"),
    ],
)
def test_what_cannot_be_set_is_told(read: Read, setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(SIZES + APART, setting)
    assert str(refused.value) == f"--set {setting}: {message}"


def test_a_task_without_which_no_set_is_left_cannot_be_left_out(read: Read) -> None:
    with pytest.raises(ConfigError, match=r"tasks\.mood: is in every set of tasks; set tasks as a whole"):
        read(OF + "    sets: [[mood, same], [mood, near]]\n" + APART, "tasks.mood=null")


def test_a_start_point_names_a_set_and_settings_of_its_tasks(read: Read) -> None:
    def start(point: str) -> tuple[dict[str, object], ...]:
        search = f"search: {{algorithm: {{name: random}}, scheduler: {{name: none}}, start: [{point}]}}\n"
        return read(SIZES + search).start_params()

    assert start(f"{{tasks: {JOINT}, tasks.mood.weight: 2.0}}") == ({"tasks": JOINT, "tasks.mood.weight": 2.0},)
    assert start("{tasks.mood.weight: 2.0}") == ({"tasks.mood.weight": 2.0},)
    with pytest.raises(ConfigError, match=r"start\.0\.tasks\.mood\.weight: exists only where tasks include mood"):
        start("{tasks: same, tasks.mood.weight: 2.0}")


MANY = ", ".join(f"t{i}: {{kind: classification, data: sst5}}" for i in range(20))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OF, "x.yaml:3:5: tasks: subsets takes {of: {NAME: {...}, ...}, sizes: [1, 2]}, with sets:"),
        ("tasks: {subsets: [mood]}\n", "x.yaml:1:18: tasks: subsets takes {of:"),
        (
            OF + "    size: [1]\n",
            "x.yaml:7:5: tasks: subsets has of, sizes and sets, but got 'size'; did you mean sizes?",
        ),
        (
            OF + "    sizes: [1, 4]\n",
            "x.yaml:7:16: tasks: a size must be an integer from 1 to 3, the number of tasks, but got 4",
        ),
        (OF + "    sizes: 2\n", "x.yaml:7:12: tasks: sizes takes a list, but got 2"),
        (OF + "    sizes: []\n", "x.yaml:7:12: tasks: sizes takes a list, but got an empty list"),
        (OF + "    sizes: [1, 1]\n", "x.yaml:7:16: tasks: the set mood is there twice; leave one out"),
        (OF + "    sets: [mood]\n", "x.yaml:7:12: tasks: a set is a list of tasks' names, but got the text 'mood'"),
        (OF + "    sets: [[]]\n", "x.yaml:7:12: tasks: a set is a list of tasks' names, but got an empty list"),
        (
            OF + "    sets: [[mod]]\n",
            "x.yaml:7:13: tasks: a set has the names of tasks, but got the text 'mod'; did you mean mood?",
        ),
        (OF + "    sets: [[mood, mood]]\n", "x.yaml:7:19: tasks: mood is there twice in one set; leave one out"),
        (
            OF + "    sizes: [1]\n    sets: [[near], [mood]]\n",
            "x.yaml:8:12: tasks: the set near is there twice; leave one out",
        ),
        (
            OF + "    sets: [[mood, same]]\n",
            "x.yaml:6:7: tasks: near is in none of the sets; add one with it, or leave it out",
        ),
        (
            "tasks: {subsets: {of: {a: {choice: [null, {kind: classification, data: sst5}]}}, sizes: [1]}}\n",
            "x.yaml:1:24: tasks: a cannot be null; the sets say where it is left out",
        ),
        (
            f"tasks: {{subsets: {{of: {{{MANY}}}, sizes: [1, 10]}}}}\n",
            "tasks: there may be at most 1,000 sets, but these sizes make 184,776; list them as sets",
        ),
        (
            SIZES + "  extra: {kind: classification, data: sst5}\n",
            "x.yaml:2:3: tasks: a domain has one key, but beside subsets there is extra",
        ),
        (
            "tasks: {a: {kind: classification, data: {subsets: {of: {source: sst5}, sizes: [1]}}}}\n",
            "tasks.a.data: subsets says which tasks a trial has, and stands under tasks alone",
        ),
    ],
)
def test_broken_sets_are_told_with_their_place(read: Read, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(text + APART)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_task_may_still_be_called_subsets(read: Read) -> None:
    text = "tasks:\n  subsets: {kind: classification, data: sst5}\n  other: {kind: classification, data: sst5}\n"
    assert list(read(text).default.tree["tasks"]) == ["subsets", "other"]


@pytest.mark.parametrize(
    ("search", "use"),
    [
        ("{algorithm: {name: grid}}", "scheduler: {name: asha}"),
        ("{scheduler: {name: none}}", "algorithm: {name: tpe}"),
        ("{algorithm: {name: random}, scheduler: {name: none}, retrain_best: true}", "retrain_best"),
    ],
)
def test_what_compares_trials_of_other_tasks_needs_tasks_that_all_are_scored_on(
    read: Read, search: str, use: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        read(SIZES + f"search: {search}\n")
    assert str(refused.value).endswith(
        f"x.yaml:8:1: search.scored_tasks: missing; the tasks themselves are searched, and {use} compares trials "
        "whatever theirs are; no task is in every trial, so have each compared by itself: algorithm: {name: grid} or "
        "{name: random}, with scheduler: {name: none}"
    )
    with pytest.raises(ConfigError, match=r"name those that mean_score is the mean of: scored_tasks: \[mood\]"):
        read(OF + f"    sets: [[mood, same], [mood, near]]\nsearch: {search}\n")
    scored = search.replace("{", "{scored_tasks: [mood], ", 1)
    assert read(OF + f"    sets: [[mood, same], [mood, near]]\nsearch: {scored}\n").search.scored_tasks == ("mood",)
