"""The teacher's pages say what the homework is."""

import re
import runpy
from pathlib import Path
from typing import Any

import nbformat
import pytest
from pages import fill, load

from minivjepa.evaluation import statistics
from minivjepa.grading import sandbox
from minivjepa.grading.hidden_cases import TEACHER
from minivjepa.grading.mounts import SCRATCH
from minivjepa.grading.run_submission import TOTAL
from minivjepa.homework.notebooks import cells_by_id

ROOT = Path(__file__).parents[1]
assignment = pytest.importorskip("assignment", reason="the teacher's folder was removed from this copy")
build = pytest.importorskip("build")
NAMES = sorted(path.parent.name for path in TEACHER.glob("*/notebook.py"))


def headings(name: str) -> list[tuple[str, int, str, int]]:
    """(grade_id, points, level, minutes) of every exercise, as its heading and its cell in the student's notebook say."""
    found = []
    cells = nbformat.read(ROOT / "notebooks" / "homework" / f"{name}.ipynb", as_version=4).cells
    for cell in cells:
        title = re.match(r"## \d+\. .* \((\d+) points, (?:(\w+), )?(\d+) minutes", cell.source)
        if title:
            after = cells[cells.index(cell) :]
            grade_id = next(iter(cells_by_id(type(cell)(cells=after))))
            found.append((grade_id, int(title[1]), title[2] or "written", int(title[3])))
    return found


def rows(text: str) -> list[tuple[str, int, str, int]]:
    """The same of the teacher's guide."""
    return [
        (exercise, int(points), level, int(minutes))
        for exercise, points, level, minutes in re.findall(
            r"^\| \d+ \| `(\w+)` \| (\d+) \| (\w+) \| (\d+) \|", text, re.M
        )
    ]


def test_the_guide_gives_the_points_that_the_notebooks_give() -> None:
    """Catches: points, levels or minutes that were changed in one place only; a sum that no longer adds up."""
    guide = (TEACHER / "README.md").read_text(encoding="utf-8")
    parts = re.split(r"^## Homework \d.*$", guide, flags=re.M)[1:]
    assert len(parts) == len(NAMES)
    for name, part in zip(NAMES, parts):
        notebook = nbformat.read(ROOT / "notebooks" / "homework" / f"{name}.ipynb", as_version=4)
        told = headings(name)
        assert rows(part) == told
        scored = {key: cell.metadata.nbgrader["points"] for key, cell in cells_by_id(notebook).items() if cell.metadata.nbgrader["grade"]}  # fmt: skip
        assert {key.removeprefix("check_"): points for key, points in scored.items()} == {
            row[0]: row[1] for row in told
        }
        total, minutes = sum(row[1] for row in told), sum(row[3] for row in told)
        assert f"| | all | {total} | | {minutes} | |" in part
        assert f"{total} points" in notebook.cells[0].source


def test_the_guide_gives_the_limits_of_the_code() -> None:
    """Catches: a limit that was changed in the code only."""
    guide = (TEACHER / "README.md").read_text(encoding="utf-8")
    for words in (
        f"| {sandbox.SECONDS:.0f} s for a cell or call, {TOTAL:.0f} s for a submission, by the clock |",
        f"| {sandbox.CPU_SECONDS} s of CPU time a process (*tried*) |",
        f"| {sandbox.FILE_BYTES // 2**20} MiB a file (*tried*) |",
        f"| {sandbox.FOLDER_BYTES // 2**20} MiB and {sandbox.FILES:,} files in its own folder, and in `{'`, `'.join(SCRATCH[:-1])}` and `{SCRATCH[-1]}` each;",
        f"| {sandbox.PROCESSES} processes at once (*tried*) |",
        f"| {sandbox.MEMORY_BYTES // 2**30} GiB of memory |",
    ):
        assert words in guide, words


@pytest.mark.slow
def test_the_table_of_mistakes_is_the_one_of_the_exercises() -> None:
    """Catches: a mistake or a case that was changed without `make assignments`."""
    page = build.PAGE.read_text(encoding="utf-8")
    assert page == fill(page, {"mistakes": build.mutation_table()})


def test_the_hidden_cases_find_every_mistake() -> None:
    """Catches: a wrong answer that gets full points, whatever the seed."""
    table = (ROOT / "docs" / "homework.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| hw\d \| `\w+` \| .* \| (✓|-) \| (.*) \|$", table, re.M)
    assert len(found) > 100
    assert all(hidden == "✓" for _, hidden in found)


# --- numbers of homework 3 that come from the recorded runs ---

DIGITS = {
    "loss": 4,
    "feature_std": 4,
    "target_feature_std": 4,
    "effective_rank": 1,
    "margin": 3,
}  # that runs A to E show


@pytest.fixture(scope="module")
def matrix() -> Any:
    return load()["matrix"]


@pytest.fixture(scope="module")
def rubric() -> str:
    return (TEACHER / "hw3" / "rubric.md").read_text(encoding="utf-8")


def patients(rubric: str) -> dict[str, tuple[str, int]]:
    """A to E -> arm and seed, as the rubric tells teachers."""
    told = rubric.split("## Who the five patients of exercise 3 are")[1]
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


def test_the_table_of_homework_3_is_that_of_the_recorded_runs(matrix: Any, rubric: str) -> None:
    """Catches: a mean or an interval of older results, in the table, in the model answer, or in what teachers mark by."""
    text = assignment.read_source(TEACHER / "hw3" / "notebook.py")
    given, answer = (part.source for part in text.cells if " ± " in part.source)
    steps, seeds = matrix["config"]["steps"], {run["seed"] for runs in matrix["arms"].values() for run in runs}
    assert f"{steps:,} steps of a larger model" in given
    assert len(seeds) == 5
    untrained = [
        statistics.cell([row[key] for row in matrix["untrained"]]) for key in ("feature_std", "linear_direction")
    ]
    rows = {"*untrained*": [untrained[0], "the same", untrained[1]]}
    for arm, runs in matrix["arms"].items():
        ends = [run["final"] for run in runs]
        target = [end["target"]["feature_std"] if end.get("target") else None for end in ends]
        own = [statistics.cell([end[key] for end in ends]) for key in ("feature_std", "linear_direction")]
        rows[f"*{arm}*" if arm == "frozen" else arm] = [own[0], statistics.cell(target) or "the same encoder", own[1]]
    table = {cells[0]: cells[1:] for line in given.splitlines() if (cells := line.strip("| ").split(" | "))[0] in rows}
    assert len(table) == 6
    assert table == {name: rows[name] for name in table}
    for arm in ("vjepa", "no-ema"):
        middle, half = map(float, table[arm][2].split(" ± "))
        assert f"{middle - half:.3f} to {middle + half:.3f}" in rubric
    known = {words for cells in table.values() for words in cells}
    quoted = re.findall(r"\d\.\d+ ± \d\.\d+", re.sub(r"[>\s]+", " ", answer + rubric))
    assert len(quoted) > 10
    assert set(quoted) <= known
