"""Tables and warnings say what the raw numbers say, and change when the numbers change."""

import json
import math
import runpy
from typing import Any

import pages as results
import pytest
from page_tables import alarm_table, goals_table, search_table, warning_table
from published_ablations import PUBLISHED, published_table
from signals import SIGNALS, first_separation

from minivjepa.collapse import COLLAPSED, WARNING, early_warning
from minivjepa.evaluation.collapsed_runs import alarm, collapsed, smaller_std
from minivjepa.evaluation.metrics import METRICS
from minivjepa.evaluation.statistics import cell, interval, markdown, mcnemar, paired, two_groups, wilson
from minivjepa.training.arms import VARIANTS
from minivjepa.training.progress_bar import RunBar
from minivjepa.vjepa import ARMS

KEYS = ("loss", "feature_std", "position_std", "effective_rank", "rankme", "margin")


def history(**series: list[Any]) -> list[dict[str, Any]]:
    """Rows at steps 0, 10, 20 ... with the given series, on both encoders, and 1 for everything else."""
    length = len(next(iter(series.values())))
    return [
        {"step": 10 * n}
        | {f"{side}{key}": series.get(f"{side}{key}", series.get(key, [1.0] * length))[n] for side in ("", "target_") for key in KEYS}
        for n in range(length)
    ]  # fmt: skip


def run(rows: list[dict[str, Any]], std: float, target: float | None = None) -> dict[str, Any]:
    return {
        "history": rows,
        "final": {"feature_std": std, "target": None if target is None else {"feature_std": target}},
    }


def test_intervals_are_students() -> None:
    """Catches: 1.96 standard errors, which is too narrow for five seeds. By hand: t(.975, 2) = 4.303, std 1, n 3."""
    middle, half = interval([1.0, 2.0, 3.0])
    assert middle == 2.0
    assert half == pytest.approx(4.3027 / math.sqrt(3), rel=1e-4)
    assert math.isnan(interval([5.0])[1])


def test_arms_that_share_seeds_are_compared_seed_by_seed() -> None:
    """Catches: pairs by place in the list and not by seed; an interval that ignores the pairing, ten times as wide here."""
    a, b = {10: 1.1, 11: 2.2, 12: 3.3, 13: 9.0}, {12: 3.0, 11: 2.0, 10: 1.0, 14: 0.0}
    found = paired(a, b)
    assert found.each == pytest.approx({10: 0.1, 11: 0.2, 12: 0.3})
    assert found.mean == pytest.approx(0.2)
    half = 4.302653 * 0.1 / math.sqrt(3)  # by hand: differences .1, .2, .3; t(.975, 2) = 4.303, std .1, n 3
    assert (found.low, found.high) == pytest.approx((0.2 - half, 0.2 + half), rel=1e-6)
    with pytest.raises(ValueError, match=r"at least 2 shared seeds; given \[10\] and \[10, 11\]"):
        paired({10: 1.0}, {10: 1.0, 11: 2.0})


@pytest.mark.parametrize(
    ("differences", "answer"),
    [
        ([0.1, 0.11, 0.12, 0.1, 0.13, 0.1, 0.11, 0.12, 0.1, -0.01], "above"),  # one seed of ten may disagree
        ([0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, -0.01, -0.01], "undecided"),  # two may not, whatever the interval
        ([-0.1, -0.11, -0.12], "below"),
        ([-0.001, -0.001, -0.001, -0.0015, 0.0], "equal"),  # 0 isn't below
        ([0.001, -0.001, 0.002, -0.002], "equal"),
        ([0.01, 0.011, 0.012], "above"),  # small, and the same on every seed
        ([0.5, -0.4, 0.3], "undecided"),
    ],
)
def test_an_answer_needs_its_interval_and_nine_seeds_of_ten(differences: list[float], answer: str) -> None:
    """Catches: an answer other than the plan's; a mean carried by a few seeds; a difference of 0 called undecided, or taken for one below 0."""
    runs = {seed: 0.5 + value for seed, value in enumerate(differences)}
    assert paired(runs, dict.fromkeys(runs, 0.5)).answer == answer


def test_planners_are_compared_on_the_pairs_on_which_they_differ() -> None:
    """Catches: intervals of two shares compared as if the pairs were others. By hand: 2 * (1 + 6) / 2 ** 6 with 5 against 1."""
    both = [True] * 50 + [False] * 20
    assert mcnemar(both + [True] * 5 + [False], both + [False] * 5 + [True]) == pytest.approx(14 / 64)
    assert mcnemar(both, both) == 1.0


def test_wilson_intervals_are_the_formula() -> None:
    """Catches: another interval of the library, which leaves 0 .. 1 or is of no width at the ends."""
    z = 1.959963984540054
    for hits, trials in ((0, 7), (3, 7), (81, 263), (200, 200)):
        share, extra = hits / trials, z * z / trials
        middle = (share + extra / 2) / (1 + extra)
        half = z / (1 + extra) * (share * (1 - share) / trials + extra / (4 * trials)) ** 0.5
        assert wilson(hits, trials) == pytest.approx((max(0.0, middle - half), min(1.0, middle + half)), abs=1e-9)


def test_columns_of_words_stand_to_the_left() -> None:
    """Catches: words and numbers of a Markdown table aligned alike."""
    assert markdown(["a", "b", "c"], [["x", "y", "1"]], words=2) == "| a | b | c |\n| --- | --- | ---: |\n| x | y | 1 |"


def test_cells_show_mean_and_interval() -> None:
    """Catches: an interval invented for a single run; NaN in a table."""
    assert cell([0.5]) == "0.500"
    assert cell([None, math.nan]) == ""
    assert cell([1.0, 2.0, 3.0]) == "2.000 ± 2.484"
    assert cell([40.0, 40.0]) == "40.0 ± 0.0"


def test_values_that_no_mean_describes_are_listed() -> None:
    """Catches: one interval over two groups of seeds; an accuracy of more than 1, or less than 0."""
    groups = [0.30, 0.21, 0.82, 0.20, 0.28]
    assert two_groups(groups)
    assert cell(groups) == "0.20, 0.21, 0.28, 0.30, 0.82"
    assert not two_groups([0.001, 0.002, 0.040])  # too near each other to matter
    assert cell([0.46, 0.76, 0.76, 0.78]) == "0.690 ± 0.244"  # an odd one out
    assert cell([0.9, 0.99, 0.98], most=1.0) == "0.90, 0.98, 0.99"
    assert cell([0.9, 0.99, 0.98]) == "0.957 ± 0.123"
    assert cell([0.0, 0.3], least=0.0, most=1.0) == "0.00, 0.30"
    assert METRICS["linear_direction"].most == 1.0
    assert (METRICS["linear_color"].least, METRICS["linear_identity"].least) == (-math.inf, 0.0)
    assert str(paired({1: 0.30, 2: 0.31, 3: 0.5}, {1: 0.29, 2: 0.32, 3: 0.4})) == "+0.033 (-0.112 to +0.179)"
    assert str(paired({1: 0.9, 2: 0.8, 3: 0.3}, {1: 0.1, 2: 0.1, 3: 0.3})) == "+0.00, +0.70, +0.80"


def test_a_signal_tells_from_the_step_after_which_it_separates_for_good() -> None:
    """Catches: a first crossing taken for a separation; a side that changes; a threshold that one run breaks."""
    loss = SIGNALS["loss"]
    dead = [history(loss=[1, 0.5, 0.1, 0.1]), history(loss=[1, 0.5, 0.2, 0.1])]
    alive = [history(loss=[1, 0.6, 0.4, 0.4]), history(loss=[1, 0.4, 0.3, 0.4])]
    assert first_separation(dead, alive, loss).step == 20
    assert first_separation(dead, alive, loss).below
    assert not first_separation(alive, dead, loss).below
    assert first_separation(dead, [*alive, history(loss=[1, 1, 1, 0.05])], loss).step is None
    assert first_separation([history(loss=[1, None, None])], [history(loss=[1, None, None])], loss).step is None
    switched = [history(loss=[1, 9, 9, 0.1])]
    assert first_separation(switched, alive, loss).step == 30
    with pytest.raises(ValueError, match="given 2 collapsed and 0 other"):
        first_separation(dead, [], loss)
    with pytest.raises(ValueError, match="same steps"):
        first_separation(dead, [alive[0][:2]], loss)


def test_a_run_counts_as_collapsed_if_either_encoder_did() -> None:
    """Catches: a dead target behind a lively online encoder."""
    rows = history(loss=[1, 1])
    assert collapsed(run(rows, 0.5, COLLAPSED / 2))
    assert collapsed(run(rows, COLLAPSED / 2))
    assert not collapsed(run(rows, 0.5, 0.5))


def test_the_warning_looks_at_both_encoders_and_not_at_the_loss() -> None:
    """Catches: a warning that a dead target does not set off, or one for every low loss."""
    rows = history(feature_std=[0.8, 0.8, 0.7], target_feature_std=[0.8, WARNING / 2, 0.01], loss=[1, 0.001, 0.001])
    assert alarm(rows) == 10
    assert early_warning(rows[0]) is None
    assert "target encoder is 0.050, below 0.1" in str(early_warning(rows[1]))
    assert alarm(history(loss=[1, 0, 0])) is None


def test_a_history_with_nulls_can_be_read() -> None:
    """Catches: a warning that stops at a std that was NaN, which JSON has as null, or that takes null for 0."""
    rows = history(feature_std=[0.8, None, 0.05, 0.01], target_feature_std=[None, 0.8, None, None])
    assert alarm(rows) == 20
    assert [smaller_std(row) for row in rows] == [None, None, None, None]
    assert smaller_std(history(feature_std=[0.2, 0.3])[1]) == 0.3
    alive = history(feature_std=[0.8, 0.7, 0.7, 0.7])
    assert first_separation([rows], [alive], SIGNALS["feature std, online"]).step == 20
    assert first_separation([rows], [alive], SIGNALS["feature std, the smaller of the two encoders"]).step is None
    nan = history(feature_std=[0.8, 0.05, 0.05, math.nan])
    assert first_separation([nan], [alive], SIGNALS["feature std, online"]).step is None
    unknown = {"final": {"feature_std": None, "target": {"feature_std": None}}}
    assert not collapsed(unknown)
    assert collapsed({"final": {"feature_std": None, "target": {"feature_std": COLLAPSED / 2}}})


def test_the_warning_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: a line for every row of a collapsed run, or none."""
    bar = RunBar("neither seed 0", 30)
    for row in history(feature_std=[0.8, 0.05, 0.02, 0.01]):
        bar.show(row["step"], row)
    bar.bar.close()
    said = capsys.readouterr().out
    assert said.count("early warning at step 10") == 1
    assert "neither seed 0: early warning" in said
    assert said.count("early warning") == 1


def test_the_tables_name_what_never_tells() -> None:
    """Catches: a table that ranks a blind number among those that see."""
    dead = run(history(feature_std=[0.8, 0.05, 0.001], loss=[1, 0.1, 0.3]), 0.001)
    alive = run(history(feature_std=[0.8, 0.7, 0.7], loss=[1, 0.2, 0.2]), 0.7)
    stored = {"arms": {"neither": [dead], "vjepa": [alive]}}
    lines = warning_table(stored).splitlines()
    assert "| feature std, online | 10 | lower |" in lines
    assert "| loss | 20 | higher |" in lines
    assert "| effective rank, online | never |  |" in lines[-8:]
    assert "| neither | 1 of 1 | 1 of 1 | 10 |" in alarm_table(stored)
    assert "| vjepa | 0 of 1 | 0 of 1 |  |" in alarm_table(stored)


def test_trials_are_averaged_over_their_seeds() -> None:
    """Catches: a search table that shows the best seed."""
    names = (
        "cpu_seconds",
        "linear_direction",
        "linear_identity",
        "attentive_direction",
        "attentive_identity",
        "feature_std",
    )
    runs = [{"seed": seed, **dict.fromkeys(names, float(seed))} for seed in (100, 102)]
    assert "| wide | dim 96 | 100, 102 | final | 101 | 101.000" in search_table(
        [{"trial": "wide", "changes": {"dim": 96}, "probe": "final", "runs": runs}]
    )


def test_the_search_table_holds_the_scripts_trials_on_tuning_seeds() -> None:
    """Catches: a trial that was dropped from the script, relabelled, or made on a seed that results report."""
    script = runpy.run_path(str(results.FOLDER / "search.py"), run_name="search")
    planned = {name: changes for name, changes, _ in script["TRIALS"]}
    for trial in json.loads((results.FOLDER / "search.json").read_text()):
        assert json.loads(json.dumps(planned[trial["trial"]])) == trial["changes"]
        assert {run["seed"] for run in trial["runs"]} <= set(range(100, 105))


def test_filling_a_page_replaces_its_tables_and_nothing_else() -> None:
    """Catches: a rebuild that eats the text around its marks, or keeps old rows."""
    page = "above\n<!-- a: begin -->\nold\n<!-- a: end -->\nbetween\n<!-- b: begin -->\n<!-- b: end -->\nbelow\n"
    new = results.fill(page, {"a": "A", "b": "B"})
    assert (
        new == "above\n<!-- a: begin -->\nA\n<!-- a: end -->\nbetween\n<!-- b: begin -->\nB\n<!-- b: end -->\nbelow\n"
    )
    assert results.fill(new, {"a": "A", "b": "B"}) == new
    with pytest.raises(ValueError, match="no place for 'c'"):
        results.fill(page, {"c": "C"})


def test_pages_hold_the_numbers_of_the_raw_files() -> None:
    """Catches: a table that was edited by hand, or a results file without a new table."""
    for path, parts in results.pages(results.load()).items():
        text = path.read_text(encoding="utf-8")
        assert results.fill(text, parts) == text, path


def test_goals_are_judged_by_means_and_intervals() -> None:
    """Catches: a goal met by the best seed; a lead that the seeds do not bear out."""

    def rows(*values: float) -> list[dict[str, Any]]:
        return [{"seed": seed, "linear_direction": value} for seed, value in enumerate(values)]

    stored = {
        "arms": {name: [{"seed": row["seed"], "final": row} for row in held] for name, held in (("vjepa", rows(0.9, 0.91, 0.92)), ("frozen", rows(0.85, 0.9, 0.95)))},
        "untrained": rows(0.1, 0.2, 0.15),
        "raw_pixels": rows(0.95, 0.97, 0.96),
    }  # fmt: skip
    lines = goals_table(stored, {"linear_direction": 0.905}).splitlines()
    assert lines[2] == "| direction, linear | at least 0.91 | 0.910 ± 0.025 |  | yes |"
    assert [line.split("|")[5].strip() for line in lines[3:]] == ["yes", "no: below", "no: undecided"]
    assert "| above raw pixels | 0.960 ± 0.025 | -0.050 (-0.075 to -0.025) |" in lines[4]
    assert goals_table(stored, {"linear_direction": 0.92}).splitlines()[2].endswith("| no |")


def test_every_published_row_has_its_runs() -> None:
    """Catches: an arm that was renamed, or dropped from the table of what others found."""
    known = {
        arm: [{"final": {"feature_std": 1.0, "linear_direction": 0.5, "attentive_identity": 0.4, "target": None}}]
        for arm in [*ARMS, *VARIANTS]
    }
    lines = published_table(known).splitlines()
    assert len(lines) == 2 + sum(len(arms) for _, _, arms in PUBLISHED)
    assert "| no EMA | BYOL: 0.3 %; SimSiam: 67.7 %; a user: AUC .65 | no-ema | 1.000 |  | 0.500 | 0.400 |" in lines
