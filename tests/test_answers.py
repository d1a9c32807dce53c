"""The answers to results/plan.md follow its rules, and nothing is answered before it has been run."""

from typing import Any

import pytest
from answers import QUESTIONS, TEN, answer, comparison_table

MEASURED = ("linear_direction", "linear_identity", "attentive_direction", "attentive_identity", "knn_identity")


def file(values: dict[str, float], seeds: int = TEN, first: int = 20) -> dict[str, Any]:
    """A results file: arm -> what every measure reads, a little more on each seed."""
    return {
        "arms": {
            arm: [
                {"seed": seed, "final": dict.fromkeys(MEASURED, value + 0.001 * (seed - first) * value)}
                for seed in range(first, first + seeds)
            ]
            for arm, value in values.items()
        }
    }


def everything(first: float, second: float) -> dict[str, Any]:
    """All raw files: in each comparison the first arm reads `first` and the other `second`."""
    raw: dict[str, Any] = {}
    for row in (row for rows in QUESTIONS.values() for row in rows):
        known = file({row.arm: first, row.other: second})["arms"]
        raw.setdefault(row.file, {"arms": {}})["arms"] |= known
    return raw


def test_a_question_has_no_answer_before_all_its_seeds_have_run() -> None:
    """Catches: an answer from the seeds that came first, which could stop the runs where they look good."""
    raw = {"plan-today-long": file({"vjepa": 0.5, "frozen": 0.2}, seeds=9)}
    said = answer(raw, "h1")
    assert said.startswith("Not answered yet: 0 of 1 comparisons")
    assert "9 of 10 seeds run" in said
    assert answer({"plan-today-long": file({"vjepa": 0.5, "frozen": 0.2})}, "h1").startswith("**Yes.**")


def test_seeds_of_other_experiments_do_not_count() -> None:
    """Catches: seeds 10 to 14, on which the question was found, taken for an answer to it."""
    raw = {"plan-today-long": file({"vjepa": 0.5, "frozen": 0.2}, first=10)}
    assert "0 of 10 seeds run" in comparison_table(raw, "h1")


@pytest.mark.parametrize(("vjepa", "word"), [(0.5, "Yes"), (0.1, "No, it is below"), (0.2, "No, they are equal")])
def test_the_first_answer_is_the_plans(vjepa: float, word: str) -> None:
    """Catches: a yes for a difference that is not above."""
    assert answer({"plan-today-long": file({"vjepa": vjepa, "frozen": 0.2})}, "h1").startswith(f"**{word}.**")


def test_latent_targets_survive_only_if_both_are_above_pixels() -> None:
    """Catches: a yes from one of two arms, and a crossing that is not shown."""
    raw = everything(0.5, 0.2)
    assert answer(raw, "h2").startswith("**Yes.**")
    raw["plan-new-half"] = file({"vjepa-for-new": 0.1, "frozen-for-new": 0.5, "pixels-for-new": 0.2})
    assert "`vjepa` against `pixels` by strength: 0 above, 0.5 below, 1 above, 2 above." in answer(raw, "h2")
    raw["plan-new-tuned"] = file({"vjepa-for-new": 0.1, "frozen-for-new": 0.5, "pixels-for-new": 0.2})
    assert answer(raw, "h2").startswith("**No.**")


def test_the_moving_target_wins_only_if_it_is_below_on_nothing() -> None:
    """Catches: a win by one measure that hides a loss by another."""
    raw = everything(0.5, 0.2)
    assert answer(raw, "h3").count("**yes**") == len(QUESTIONS["h3"])
    for run in raw["plan-new"]["arms"]["vjepa"]:
        run["final"]["linear_direction"] = 0.1
    said = answer(raw, "h3")
    assert "- new background, `cpu`: **mixed** (above on identity, linear" in said
    assert "below on direction, linear" in said


def test_every_comparison_of_the_plan_is_one_that_the_matrix_runs() -> None:
    """Catches: a question whose runs are never started, or start with other seeds."""
    from matrix import EXPERIMENTS

    for row in (row for rows in QUESTIONS.values() for row in rows):
        words = EXPERIMENTS[row.file].split()
        arms, seeds = (words[words.index(option) + 1].split(",") for option in ("--arms", "--seeds"))
        assert {row.arm, row.other} <= set(arms), row
        assert [int(seed) for seed in seeds] == list(range(20, 20 + row.seeds)), row


def test_rows_have_labels_of_their_own() -> None:
    """Catches: two rows of one question that overwrite each other."""
    for rows in QUESTIONS.values():
        assert len({row.label for row in rows}) == len(rows)
