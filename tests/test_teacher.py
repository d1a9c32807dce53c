"""The teacher's pages say what the homework is."""

import re
from pathlib import Path

import nbformat
import pytest
from pages import fill

from minivjepa_course.grading import sandbox
from minivjepa_course.grading.hidden_cases import TEACHER
from minivjepa_course.grading.mounts import SCRATCH
from minivjepa_course.homework.notebooks import LARGEST_FILE, MOST_VALUES, cells_by_id
from minivjepa_course.homework.program import SECONDS, TOTAL

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
        f"| {SECONDS:.0f} s for a cell or call, {TOTAL:.0f} s for a submission, by the clock |",
        f"| {sandbox.CPU_SECONDS} s of CPU time a process (*tried*) |",
        f"| {sandbox.FILE_BYTES // 2**20} MiB a file (*tried*) |",
        f"| {sandbox.FOLDER_BYTES // 2**20} MiB and {sandbox.FILES:,} files in its own folder, and in `{'`, `'.join(SCRATCH[:-1])}` and `{SCRATCH[-1]}` each;",
        f"| {sandbox.PROCESSES} processes at once (*tried*) |",
        f"| {sandbox.MEMORY_BYTES // 2**30} GiB of memory |",
        f"at most {LARGEST_FILE // 2**20} MB and {MOST_VALUES:,} values",
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


def windows(text: str, size: int = 50) -> set[str]:
    """Every run of characters of a text without its blanks."""
    text = re.sub(r"\s", "", text)
    return {text[start : start + size] for start in range(len(text) - size + 1)}


def test_a_copy_without_this_folder_quotes_no_answer() -> None:
    """Catches: parts of right answers in tests, docs or results, which students get; the package and the lessons answer other exercises."""
    answers = [
        re.sub(r"^ *#.*$", "", block, flags=re.M)
        for file in TEACHER.glob("hw*/notebook.py")
        for block in re.findall("### BEGIN SOLUTION(.*?)### END SOLUTION", file.read_text(encoding="utf-8"), re.S)
    ]
    assert len(answers) > 25
    quoted = set.union(*map(windows, answers))
    root = TEACHER.parent
    quoted -= set.union(*(windows(file.read_text(encoding="utf-8")) for file in root.glob("minivjepa/**/*.py")))
    for folder in ("tests", "docs", "results", "page/src"):
        for file in (file for file in (root / folder).rglob("*") if file.suffix in {".py", ".md", ".ts", ".js"}):
            found = quoted & windows(file.read_text(encoding="utf-8"))
            assert not found, f"{file.relative_to(root)}: {sorted(found)[0]}"
