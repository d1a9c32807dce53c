"""Homework 3: its numbers are those of the recorded runs, and arms are compared seed by seed."""

import re
import runpy
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from pages import load

from minivjepa.evaluation.statistics import Difference, cell, interval, paired
from minivjepa.experiments.report import by_seed
from minivjepa_course.grading.hidden_cases import TEACHER
from minivjepa_course.homework.checking import CheckFailed, require_right

assignment = pytest.importorskip("assignment", reason="the teacher's folder was removed from this copy")
SLIPS = runpy.run_path(str(TEACHER / "hw3" / "wrong_answers.py"))
WRONG, UNLISTED = SLIPS["WRONG"], SLIPS["UNLISTED"]
DIGITS = {
    "loss": 4,
    "feature_std": 4,
    "target_feature_std": 4,
    "effective_rank": 1,
    "margin": 3,
}  # that runs A to E show
MEASURES = ("target_std", "linear_direction", "linear_identity")  # the columns of the table of differences
PAIRS = [("vjepa", name) for name in ("no-ema", "no-stopgrad", "neither", "frozen", "untrained")] + [
    ("no-ema", "untrained"),
    ("no-stopgrad", "untrained"),
]  # its rows
DIFFERENCE = re.compile(r"[+-]\d\.\d+ \([+-]\d\.\d+ to [+-]\d\.\d+\)")
QUOTED = [  # where the text around a difference says which one it is
    ("`vjepa` is above by {},", ("vjepa", "no-stopgrad", "target_std")),
    (", and by {} on direction, both on all five seeds", ("vjepa", "no-stopgrad", "linear_direction")),
    ("direction is even below `untrained`: {}.", ("no-stopgrad", "untrained", "linear_direction")),
    ("minus `frozen` is {}, undecided.", ("vjepa", "frozen", "linear_direction")),
]
MARKED = [  # the same in the rubric alone
    ("That one is {}, but seed 12 has the other sign: undecided", ("vjepa", "no-ema", "linear_direction")),
    ("`no-ema` minus `untrained` is undecided too, {},", ("no-ema", "untrained", "linear_direction")),
    ("The online feature std of `vjepa` and `no-stopgrad` is undecided: {}.", ("vjepa", "no-stopgrad", "feature_std")),
]


@pytest.fixture(scope="module")
def matrix() -> Any:
    return load()["matrix"]


@pytest.fixture(scope="module")
def rubric() -> str:
    return (TEACHER / "hw3" / "rubric.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def texts() -> tuple[str, str]:
    """What the question of the argument gives, and the model answer."""
    cells = assignment.read_source(TEACHER / "hw3" / "notebook.py").cells
    [given] = [cell.source for cell in cells if "**Make one claim about EMA" in cell.source]
    [answer] = [cell.source for cell in cells if cell.source.startswith("**Claim.**")]
    return given, answer


def flat(text: str) -> str:
    """Text on one line, without the marks of a quotation and of emphasis."""
    return re.sub(r"[>\s]+", " ", re.sub(r"\*", "", text))


def seeds_of(matrix: Any, name: str, measure: str) -> dict[int, float]:
    """Seed -> a measure; target_std is that of the online encoder where an arm has no other."""
    if measure != "target_std":
        return by_seed(matrix, name, measure)
    ends = {row["seed"]: row.get("final", row) for row in matrix["arms"].get(name) or matrix[name]}
    return {seed: (end.get("target") or end)["feature_std"] for seed, end in ends.items()}


def difference(matrix: Any, a: str, b: str, measure: str) -> Difference:
    return paired(seeds_of(matrix, a, measure), seeds_of(matrix, b, measure))


def mean_in_words(values: dict[int, float]) -> str:
    return cell([*values.values()])


def in_words(one: Difference) -> str:
    return f"{one.mean:+.3f} ({one.low:+.3f} to {one.high:+.3f})"


def table(text: str, names: list[str]) -> list[list[str]]:
    """The rows of Markdown tables that begin with one of these names, without emphasis."""
    rows = [[part.strip(" *") for part in line.strip("| ").split(" | ")] for line in text.splitlines()]
    return [row for row in rows if row[0] in names and len(row) > 1]


def patients(rubric: str) -> dict[str, tuple[str, int]]:
    """A to E -> arm and seed, as the rubric tells teachers."""
    told = rubric.split("## Who the five patients of exercise 2 are")[1]
    return {name: (arm, int(seed)) for name, arm, seed in re.findall(r"\b([A-E])(?: is)? `([\w-]+)`, seed (\d+)", told)}


def test_runs_a_to_e_are_the_recorded_ones_whose_names_the_teacher_knows(matrix: Any, rubric: str) -> None:
    """Catches: a log that nobody recorded, that is left of older results, or that hidden cases show under its name."""
    runs: Any = assignment.function_of(assignment.given_code("hw3"), "", "RUNS")
    told = patients(rubric)
    assert list(told) == list(runs) == ["A", "B", "C", "D", "E"]
    assert set(told.values()) == runpy.run_path(str(TEACHER / "hw3" / "exercises.py"))["SHOWN"]
    recorded = {}
    for name, (arm, seed) in told.items():
        [recorded[name]] = [run for run in matrix["arms"][arm] if run["seed"] == seed]
        logged = {row["step"]: row for row in recorded[name]["history"]}
        assert runs[name][-1]["step"] == recorded[name]["history"][-1]["step"]
        for row in runs[name]:
            rounded = {key: round(logged[row["step"]][key], digits) for key, digits in DIGITS.items()}
            assert row == {"step": row["step"], **rounded}, (name, row["step"])
    assert max(told, key=lambda name: runs[name][-1]["loss"]) == "A"
    probes = [f"{recorded[name]['final']['linear_direction']:.2f}" for name in ("A", "E")]
    assert f"a linear probe reads {probes[0]} of directions from it; from E, {probes[1]}." in rubric


def test_the_table_of_means_is_that_of_the_recorded_runs(matrix: Any, rubric: str, texts: tuple[str, str]) -> None:
    """Catches: a mean or an interval of older results, in the table, in the model answer, or in what teachers mark by."""
    given, answer = texts
    assert f"{matrix['config']['steps']:,} steps of a larger model, seeds 10 to 14," in given
    assert all([run["seed"] for run in runs] == [10, 11, 12, 13, 14] for runs in matrix["arms"].values())
    wanted = []
    for name in ("vjepa", "no-ema", "no-stopgrad", "neither", "frozen", "untrained"):
        online, target, *probes = (
            mean_in_words(seeds_of(matrix, name, measure)) for measure in ("feature_std", *MEASURES)
        )
        if name in ("no-ema", "neither", "untrained"):  # they have one encoder
            assert online == target
            target = "the same" if name == "untrained" else "the same encoder"
        wanted.append([name, online, target, *probes])
    assert table(given, [row[0] for row in wanted]) == wanted
    quoted = re.findall(r"\d\.\d+ ± \d\.\d+", flat(answer + rubric))
    assert len(quoted) > 5
    assert set(quoted) <= {words for row in wanted for words in row}


def test_the_differences_are_those_of_the_recorded_runs(matrix: Any, rubric: str, texts: tuple[str, str]) -> None:
    """Catches: a difference, a count of seeds or an answer that the raw file does not give; arms compared unpaired."""
    names = [f"{a} - {b}" for a, b in PAIRS]
    shown, marked = [], []
    for a, b in PAIRS:
        found = [difference(matrix, a, b, measure) for measure in MEASURES]
        words = [
            f"{in_words(one)}, {sum(value > 0 for value in one.each.values())} of {len(one.each)}" for one in found
        ]
        shown.append([f"{a} - {b}", *words])
        marked.append([f"{a} - {b}", *(f"{text}: {one.answer}" for text, one in zip(words, found))])
    assert table(texts[0], names) == shown
    assert table(rubric, names) == marked
    for text, quotes in ((texts[1], QUOTED), (rubric, QUOTED + MARKED)):
        for words, (a, b, measure) in quotes:
            assert words.format(in_words(difference(matrix, a, b, measure))) in flat(text), words
    prose = "\n".join(line for line in rubric.splitlines() if not line.startswith("|"))
    known = {
        in_words(difference(matrix, a, b, m))
        for a, b in permutations(("vjepa", "no-stopgrad"), 2)
        for m in ("feature_std",)
    }
    known |= {words for row in shown for words in DIFFERENCE.findall(" ".join(row))}
    assert set(DIFFERENCE.findall(flat(texts[1] + prose))) <= known


def test_what_the_rubric_says_about_ema_holds(matrix: Any, rubric: str) -> None:
    """Catches: "the trap" and "the claim that the table bears" after results in which they are none."""
    direction = difference(matrix, "vjepa", "no-ema", "linear_direction")
    assert direction.low > 0
    assert [seed for seed, value in direction.each.items() if value < 0] == [12]
    a, b = (seeds_of(matrix, name, "linear_direction")[12] for name in ("no-ema", "vjepa"))
    assert f"on seed 12 `no-ema` reads {a:.3f} and `vjepa` {b:.3f}, so by the rule it is undecided" in flat(rubric)
    (high, up), (low, down) = (
        interval([*seeds_of(matrix, name, "linear_identity").values()]) for name in ("vjepa", "no-ema")
    )
    assert high - up < low + down
    assert f"own intervals overlap ({high:.3f} ± {up:.3f} and {low:.3f} ± {down:.3f})" in flat(rubric)


@pytest.mark.parametrize(("sample", "marks"), [("Full", 6), ("Half", 3), ("Failing", 1)])
def test_the_marks_of_the_samples_add_up(rubric: str, sample: str, marks: int) -> None:
    """Catches: a heading that gives other marks than the six sentences below it; a sample that is too long to be marked."""
    [part] = [part for part in rubric.split("\n## ") if part.startswith(f"{sample}: {marks} of 6")]
    verdicts = re.findall(r"\b([1-6]) (yes|no)\b", part)
    assert [number for number, _ in verdicts] == list("123456")
    assert [word for _, word in verdicts].count("yes") == marks
    words = " ".join(line for line in part.splitlines() if line.startswith(">")).replace(">", "").split()
    assert 150 <= len(words) <= 250


# --- exercises ---


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("name", "what"), [(name, what) for name, slips in WRONG.items() for what in slips])
def test_wrong_answers_that_once_passed_are_rejected(name: str, what: str) -> None:
    """Catches: cases that lose what told these answers from the right one."""
    [exercise] = [one for one in assignment.load("hw3") if one.name == name]
    code = assignment.reference_code("hw3")[name]
    for old, new in WRONG[name][what]:
        assert old in code
        code = code.replace(old, new)
    wrong = assignment.function_of(assignment.given_code("hw3"), code, name)
    for seed in range(5):
        with pytest.raises(CheckFailed):
            require_right(assignment.hidden_cases("hw3", replace(exercise, mistakes=()), seed), wrong)


# --- exercise 6 ---


@pytest.fixture(scope="module")
def cases() -> list[Any]:
    """The visible cases of `verdict`, then the hidden ones of some seeds."""
    [exercise] = [one for one in assignment.load("hw3") if one.name == "verdict"]
    hidden = [assignment.hidden_cases("hw3", exercise, seed) for seed in range(4)]
    return [assignment.visible_cases("hw3", exercise), *hidden]


def test_the_cases_agree_with_the_package(cases: list[Any]) -> None:
    """Catches: an exercise that computes another interval than the course; pairing that never matters in what students see."""
    overlap = []
    for case in cases[0].cases[1:-1]:  # more than one seed
        if case.inputs["level"] != 0.95:
            continue
        a, b = case.inputs["a"], case.inputs["b"]
        found = paired(a, b)
        assert case.expected["result.difference"] == pytest.approx(found.mean)
        assert case.expected["result.half"] == pytest.approx(found.mean - found.low)
        word = "higher" if found.low > 0 else "lower" if found.high < 0 else "undecided"
        assert case.expected["result.verdict"] == word
        (mean_a, half_a), (mean_b, half_b) = interval([*a.values()]), interval([*b.values()])
        if abs(mean_a - mean_b) < half_a + half_b:
            overlap.append(word)
    assert overlap == ["higher", "undecided", "higher", "undecided", "higher"]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", UNLISTED)
def test_mistakes_that_are_not_listed_are_rejected_too(cases: list[Any], name: str) -> None:
    """Catches: cases that find the listed mistakes only."""
    right = assignment.reference_code("hw3")["verdict"]
    old, new = UNLISTED[name]
    assert right.count(old) == 1
    wrong = assignment.function_of(
        "import math\nimport numpy as np\nfrom scipy import stats", right.replace(old, new), "verdict"
    )
    for drawn in cases[1:]:
        with pytest.raises(CheckFailed):
            require_right(drawn, wrong)
