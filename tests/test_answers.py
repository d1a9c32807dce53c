"""The answers to results/plan.md follow its rules, and nothing is answered before it has been run."""

from statistics import mean
from typing import Any

import answer_curves
import answers
import pages
import pytest
import questions
import search_arms
import targets
from answers import answer, comparison_table
from questions import QUESTIONS, TEN

from minivjepa.evaluation.statistics import paired
from minivjepa.objective import SIGReg

MEASURED = ("linear_direction", "linear_identity", "attentive_direction", "attentive_identity", "knn_identity")


def file(values: dict[str, float], seeds: int = TEN, first: int = 20) -> dict[str, Any]:
    """A results file: arm -> what every measure reads, a little more on each seed."""
    return {
        "chance": {"direction": 0.125},
        "controls": {
            "first_frame": dict.fromkeys(("linear_direction", "attentive_direction", "pixels_direction"), 0.13)
        },
        "arms": {
            arm: [
                {
                    "seed": seed,
                    "final": {
                        **dict.fromkeys(MEASURED, value + 0.001 * (seed - first) * value),
                        "feature_std": 1.0,
                        "target": None,
                    },
                }
                for seed in range(first, first + seeds)
            ]
            for arm, value in values.items()
        },
    }


def everything(first: float, second: float) -> dict[str, Any]:
    """All raw files: in each comparison the first arm reads `first` and the other `second`."""
    raw: dict[str, Any] = {}
    for row in (row for question, rows in QUESTIONS.items() if question != "pixels" for row in rows):
        known = file({row.arm: first, row.other: second})
        raw.setdefault(row.file, known)["arms"] |= known["arms"]
    return raw


def test_a_question_has_no_answer_before_all_its_seeds_have_run() -> None:
    """Catches: an answer from the seeds that came first, which could stop the runs where they look good."""
    raw = {"plan-today-long": file({"vjepa": 0.5, "frozen": 0.2}, seeds=9)}
    said = answer(raw, "h1")
    assert said.startswith("Not answered yet: 0 of 1 comparisons")
    assert "9 of 10 seeds run" in said
    assert answer({"plan-today-long": file({"vjepa": 0.5, "frozen": 0.2})}, "h1").startswith("**Yes.**")


def test_each_kind_of_clips_has_its_answer_when_its_seeds_have_run() -> None:
    """Catches: an answer held back for another kind of clips, one given before all its seeds have run."""
    raw = {"plan-new": file({"vjepa": 0.1, "frozen": 0.2}), "plan-still": file({"vjepa": 0.5, "frozen": 0.2}, seeds=9)}
    said = answer(raw, "h3")
    assert said.startswith(
        "`vjepa` against `frozen`, 1 of 8 comparisons run: 1 no.\n\n- new background, `cpu`: **no**: below on "
    )
    assert "**yes**" not in said


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
    raw["plan-new-quarter"] = file({"vjepa-for-new": 0.1, "frozen-for-new": 0.5, "pixels-for-new": 0.2})
    assert "`vjepa` against `pixels` by strength: 0 above, 0.25 below, 0.5 above." in answer(raw, "h2")
    raw["plan-new-tuned"] = file({"vjepa-for-new": 0.1, "frozen-for-new": 0.5, "pixels-for-new": 0.2})
    assert answer(raw, "h2").startswith("**No.**")


def test_the_moving_target_wins_only_if_it_is_below_on_nothing() -> None:
    """Catches: a win by one measure that hides a loss by another."""
    raw = everything(0.5, 0.2)
    assert answer(raw, "h3").count("**yes**") == len(QUESTIONS["h3"])
    for run in raw["plan-new"]["arms"]["vjepa"]:
        run["final"]["linear_direction"] = 0.1
    said = answer(raw, "h3")
    assert "- new background, `cpu`: **mixed**: above on identity (linear), " in said
    assert "below on direction (linear)" in said


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


def test_arms_of_which_only_some_runs_collapse_have_no_answer() -> None:
    """Catches: a yes from a mean of the dead and the living."""
    raw = {"plan-today-long": file({"vjepa": 0.5, "frozen": 0.2})}
    for run in raw["plan-today-long"]["arms"]["frozen"][:4]:
        run["final"]["feature_std"] = 0.001
    assert answer(raw, "h1").startswith("**No answer: only some runs collapsed.**")
    assert "| +0.300, +0.300, " in comparison_table(raw, "h1")
    for run in raw["plan-today-long"]["arms"]["frozen"]:
        run["final"]["feature_std"] = 0.001  # all collapsed: that's a result
    assert answer(raw, "h1").startswith("**Yes.**")


def test_clips_whose_first_frame_gives_the_direction_away_answer_nothing() -> None:
    """Catches: a score that a still picture reaches, taken for knowledge of motion."""
    raw = everything(0.5, 0.2)
    assert "No answer" not in answer(raw, "h3")
    raw["plan-still"]["controls"]["first_frame"]["attentive_direction"] = 0.18
    assert answer(raw, "h3").startswith("No answer: the first frame gives the direction away in plan-still.")


def test_intervals_stay_within_what_accuracies_can_be_and_every_difference_is_shown() -> None:
    """Catches: an interval beyond 1, a mean in place of its seeds."""
    raw = {"plan-today-long": file({"vjepa": 0.9, "frozen": 0.2})}
    for run in raw["plan-today-long"]["arms"]["frozen"][:2]:
        run["final"]["knn_identity"] = -4.0
    [found] = questions.differences(raw, "h1").values()
    assert found["knn_identity"].high == 1.0
    said = answer(raw, "h1")
    assert "Every difference, seed by seed: 1 in all" in said
    assert questions.in_words(found["knn_identity"]) in said


def test_equal_is_an_answer_to_the_second_question() -> None:
    """Catches: "undecided" where both are known to be no better."""
    assert answer(everything(0.2, 0.2), "h2").startswith("**No.**")


def with_controls(results: dict[str, Any]) -> dict[str, Any]:
    """A results file with everything that targets are compared with."""
    runs = [run["final"] for run in results["arms"]["frozen"]]
    return {**results, "untrained": runs, "raw_pixels": runs, "controls": results["controls"] | {"supervised": runs[0]}}


def test_the_table_of_targets_has_only_arms_that_have_run_all_seeds() -> None:
    """Catches: means over the seeds that happened to come first, an arm's numbers in another's row."""
    values = {"vjepa": 0.5, "frozen": 0.2, "pixels": 0.3}
    raw = {f"plan-{kind}": with_controls(file(values)) for kind in ("today", "new", "still")}
    raw["plan-new"]["arms"]["pixels"].pop()
    raw["plan-still"]["arms"]["vjepa"].pop()
    rows = dict(line.strip("| ").split(" | ", 1) for line in targets.targets_table(raw).splitlines()[2:])
    controls = (targets.UNTRAINED, targets.LABELS, targets.RAW)
    assert [*rows] == [f"{name}, plain clips, `cpu`" for name in (*targets.TARGETS, *controls)] + [
        f"{name}, new background, `cpu`" for name in ("frozen", "vjepa", *controls)
    ]
    assert rows["pixels, plain clips, `cpu`"].startswith("0.301 ")


def test_readme_shows_a_difference_only_where_there_is_one() -> None:
    """Catches: a number, which people read as a difference, where the plan says equal; a row before its seeds have run; a leak."""
    raw = {
        "plan-today": file({"vjepa": 0.5, "frozen": 0.2, "pixels": 0.6}),
        "plan-new": file({"vjepa": 0.1, "frozen": 0.2}),
        "plan-still": file({"vjepa": 0.2, "frozen": 0.2}),
        "plan-drifting": file({"vjepa": 0.5, "frozen": 0.2}, seeds=9),
        "plan-today-long": file({"vjepa": 0.5, "frozen": 0.2}),
        "plan-new-long": file({"vjepa": 0.5, "frozen": 0.2}, seeds=8),
    }
    raw["plan-today-long"]["controls"]["first_frame"]["linear_direction"] = 0.18
    frozen, pixels, note = targets.moving_tables(raw).split("\n\n")
    rows = dict(line.strip("| ").split(" | ", 1) for line in frozen.splitlines()[2:])
    assert {label: cells.split(" | ")[0] for label, cells in rows.items()} == {
        "plain clips, `cpu`": "**+0.301**",
        "new background, `cpu`": "-0.100",
        "still background, `cpu`": "equal",
        "new background, `cpu-long`": "**+0.301**",
    }
    assert [line.split(" | ")[1] for line in pixels.splitlines()[2:]] == ["-0.100"]
    assert note.startswith("These are 25 comparisons.")


def test_the_figure_of_targets_shows_only_arms_with_all_their_seeds() -> None:
    """Catches: dots of the seeds that came first; a mean in the text that isn't the one of the dots."""
    raw = {
        "plan-today": with_controls(file({"vjepa": 0.5, "frozen": 0.2, "pixels": 0.3})),
        "plan-today-long": with_controls(file({"vjepa": 0.8, "frozen": 0.2, "pixels": 0.3})),
    }
    raw["plan-today-long"]["arms"]["pixels"].pop()
    alt = targets.targets_picture(raw).alt
    assert "plain clips, cpu, direction, linear: pixels 0.30, frozen 0.20, vjepa 0.50" in alt
    assert "plain clips, cpu-long, direction, linear: frozen 0.20, vjepa 0.80" in alt


def test_the_curves_have_only_settings_with_all_their_seeds() -> None:
    """Catches: a line through the seeds that came first, a strength under another's name."""
    arms = [f"{target}-for-new" for target in ("vjepa", "frozen", "pixels")]
    raw = {
        name: file(dict(zip(arms, values)))
        for name, values in {
            "plan-today-tuned": (0.5, 0.6, 0.7),
            "plan-new-quarter": (0.4, 0.3, 0.2),
            "plan-new-tuned": (0.1, 0.2, 0.3),
        }.items()
    }
    raw["plan-new-quarter"]["arms"]["frozen-for-new"].pop()
    alt = answer_curves.strengths_picture(raw).alt
    assert "strength of a background that is new in every frame (0, 0.5), one dot a seed" in alt
    assert "vjepa, direction, linear: 0.50, 0.10; " in alt


def test_what_readme_says_of_targets_is_so() -> None:
    """Catches: a sentence that outlives its numbers."""
    raw = pages.load()
    found = {
        (file, arm, other): [
            questions.compare(raw, questions.Row("", file, arm, other), metric).answer for metric in MEASURED
        ]
        for file in ("plan-today", "plan-new", "plan-still", "plan-drifting")
        for arm, other in (("vjepa", "pixels"), ("vjepa", "frozen"), ("frozen", "pixels"))
    }
    counts = {key: (words.count("above"), words.count("below")) for key, words in found.items()}
    assert counts["plan-today", "vjepa", "pixels"] == counts["plan-new", "vjepa", "pixels"] == (0, 3)
    assert counts["plan-today", "vjepa", "frozen"] == (1, 1)
    assert counts["plan-new", "vjepa", "frozen"] == (0, 3)
    longer = questions.differences(raw, "h3")["plain clips, `cpu-long`"]
    above = {name for name, one in longer.items() if one.answer == "above"}
    assert above == {"knn_identity", "linear_identity", "linear_direction"}
    assert "below" not in [one.answer for one in longer.values()]
    runs = raw["plan-today-long"]["arms"]
    means = [
        mean(run["final"][name] for run in runs[arm])
        for name in ("knn_identity", "linear_direction")
        for arm in ("vjepa", "frozen", "pixels")
    ]
    assert [f"{value:.2f}" for value in means] == ["0.32", "0.16", "0.17", "0.96", "0.92", "0.93"]
    [against_pixels] = questions.differences(raw, "h8").values()
    assert [name for name, one in against_pixels.items() if one.answer == "above"] == [
        "linear_direction",
        "knn_identity",
    ]
    assert answers.verdict(against_pixels) == "yes"
    for kind, other in ((kind, other) for kind in ("plan-still", "plan-drifting") for other in ("frozen", "pixels")):
        predictable = dict(zip(MEASURED, found[kind, "vjepa", other]))
        assert (predictable["linear_identity"], predictable["attentive_identity"]) == ("above", "below"), (kind, other)
        assert (predictable["knn_identity"] == "above") == (other == "frozen")
    still = raw["plan-still"]
    trained = mean(run["final"]["linear_direction"] for run in still["arms"]["vjepa"])
    assert f"{trained:.2f} {mean(run['linear_direction'] for run in still['untrained']):.2f}" == "0.55 0.16"
    tuned = questions.differences(raw, "h7")
    assert [one.answer for row in tuned.values() for one in row.values()] == ["below"] * 20
    everywhere = questions.differences(raw, "h3")
    verdicts = [answers.verdict(measured) for measured in everywhere.values()]
    assert verdicts == [
        "mixed",
        "no",
        "mixed",
        "mixed",
        "yes",
        "no",
        "yes",
        "yes",
    ]  # plain, new, still, drifting, twice
    assert "yes" not in [
        answers.verdict(dict(zip(MEASURED, [questions.compare(raw, questions.Row("", *key), m) for m in MEASURED])))
        for key in counts
        if key[1] == "vjepa"
    ]
    better = [
        {name for name, one in everywhere[f"{kind} background, `cpu-long`"].items() if one.answer == "above"}
        for kind in ("still", "drifting")
    ]
    assert better == [{"linear_identity", "knn_identity"}, {"linear_identity"}]
    longest = raw["plan-still-long"]["arms"]["vjepa"]
    assert f"{mean(run['final']['linear_direction'] for run in longest):.2f}" == "0.85"
    moving = {row: measured for row, measured in everywhere.items() if row.startswith("new")}
    assert [row.split(", ")[1] for row in moving] == ["`cpu`", "`cpu-long`"]
    gaps = [moving[row][name].mean for name in ("linear_direction", "attentive_direction") for row in reversed(moving)]
    assert [f"{gap:.2f}" for gap in gaps] == ["-0.20", "-0.10", "-0.15", "-0.11"]
    assert {moving[row][name].answer for name in ("linear_direction", "attentive_direction") for row in moving} == {
        "below"
    }
    as_long = {one.answer for one in questions.differences(raw, "h5")["7,000 steps"].values()}
    assert not {"above", "below"} & as_long
    at_strengths = questions.differences(raw, "h2")
    assert len(at_strengths) == len(QUESTIONS["h2"])
    for row in QUESTIONS["h2"]:
        found_there = {one.answer for one in at_strengths[row.label].values()}
        assert found_there == {"below"} if row.arm.startswith("vjepa") else "above" not in found_there, row
    steady = dict(zip(MEASURED, found["plan-new", "frozen", "pixels"]))
    assert [name for name, word in steady.items() if word == "above"] == ["attentive_direction"]
    assert [name for name, word in steady.items() if word == "below"] == ["knn_identity"]


def test_what_readme_says_beyond_the_plan_is_so() -> None:
    """Catches: a sentence on a comparison that no table shows, which outlives its numbers."""
    raw = pages.load()

    def read(file: str, arm: str, metric: str) -> dict[int, float]:
        return {run["seed"]: run["final"][metric] for run in raw[file]["arms"][arm]}

    def bare(file: str, kind: str, metric: str) -> dict[int, float]:
        return {run["seed"]: run[metric] for run in raw[file][kind]}

    tuned = [
        paired(read("plan-today-tuned", "vjepa-for-today", name), read("plan-today", "pixels", name)).answer
        for name in MEASURED
    ]
    assert (tuned.count("above"), tuned.count("below")) == (0, 2)
    attentive = bare("plan-new", "raw_pixels", "attentive_direction")
    against_raw = {arm: paired(read("plan-new", arm, "attentive_direction"), attentive) for arm in targets.TARGETS}
    assert {arm: one.answer for arm, one in against_raw.items()} == {
        "pixels": "above",
        "frozen": "above",
        "vjepa": "equal",
    }
    votes = [mean(read(f"plan-{kind}", arm, "knn_identity").values()) for kind in ("still", "drifting") for arm in ("vjepa", "frozen")]  # fmt: skip
    assert (f"{min(votes):.2f}", f"{max(votes):.2f}") == ("0.10", "0.13")
    leads = [
        {seed: value - read(file, "frozen", "knn_identity")[seed] for seed, value in read(file, "vjepa", "knn_identity").items()}
        for file in ("plan-today-long", "plan-7000-steps")
    ]  # fmt: skip
    assert [f"{mean(lead.values()):.2f}" for lead in leads] == ["0.17", "0.04"]
    assert paired(*leads).answer == "above"
    grown = questions.differences(raw, "h4")
    sides = {row: {side: [m for m, one in each.items() if one.answer == side] for side in ("above", "below")} for row, each in grown.items()}  # fmt: skip
    assert sides["plain clips: generation-2 - frozen"] == {"above": ["linear_direction"], "below": []}
    assert sides["new background: generation-2 - frozen"] == {"above": [], "below": ["attentive_identity"]}
    assert f"{grown['new background: generation-2 - frozen']['attentive_identity'].mean:.2f}" == "-0.04"
    assert all(sides[f"{clips}: generation-3 - generation-2"] == {"above": [], "below": []} for clips in ("plain clips", "new background"))  # fmt: skip
    reads = [mean(read("plan-today", arm, "linear_direction").values()) for arm in ("generation-2", "frozen")]
    assert [f"{value:.2f}" for value in reads] == ["0.86", "0.79"]
    for arm in ("vicreg", "sigreg"):
        for metric in ("linear_direction", "attentive_direction"):
            found = paired(read("plan-today-tuned", f"{arm}-for-today", metric), bare("plan-today-tuned", "untrained", metric))  # fmt: skip
            assert found.answer == "undecided", (arm, metric)
    weights = {name: search_arms.recipe("sigreg", name, "today").prevention.regulariser.weight for name in search_arms.TRIALS["sigreg"]}  # fmt: skip
    [won] = [name for arm, name, _ in search_arms.best(raw["search_arms"], 1, seeds=2) if arm == "sigreg"]
    assert weights.pop(won) == 10 * SIGReg().weight
    assert {*weights.values()} == {SIGReg().weight}
    long = raw["plan-today-long"]
    digits = [mean(read("plan-today-long", "vjepa", "linear_identity").values()), long["controls"]["supervised"]["linear_identity"]]  # fmt: skip
    assert [f"{value:.2f}" for value in digits] == ["0.49", "0.96"]


def test_at_strength_1_not_even_labels_teach_much() -> None:
    """Catches: an amended plan whose reason is not in the raw file."""
    strong = pages.load()["plan-new-strong"]
    reads = [run["final"]["linear_direction"] for runs in strong["arms"].values() for run in runs]
    assert len(reads) == 20
    assert 0.145 < min(reads) < max(reads) < 0.185
    assert 0.205 < strong["controls"]["supervised"]["linear_direction"] < 0.215
    assert strong["controls"]["supervised"]["attentive_direction"] < 0.25


def test_with_a_background_no_target_beats_raw_pixels_on_identity_by_the_attentive_probe() -> None:
    """Catches: README's sentence, of which no table shows the differences."""
    raw = pages.load()
    for kind in ("new", "still", "drifting"):
        bare = {run["seed"]: run["attentive_identity"] for run in raw[f"plan-{kind}"]["raw_pixels"]}
        for arm in targets.TARGETS:
            runs = raw[f"plan-{kind}"]["arms"][arm]
            found = paired({run["seed"]: run["final"]["attentive_identity"] for run in runs}, bare)
            assert len(found.each) == TEN
            assert found.answer != "above", (kind, arm)
            assert (found.answer == "below") == (arm == "vjepa" and kind != "still"), (kind, arm)
