"""The teacher's pages say what the homework is."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from minivjepa.homework.exercises import TEACHER
from minivjepa.homework.notebooks import graded, read_notebook
from minivjepa.results import fill

ROOT = Path(__file__).parents[1]
NAMES = sorted(path.parent.name for path in TEACHER.glob("*/notebook.py"))

pytestmark = pytest.mark.skipif(not NAMES, reason="the teacher's folder was removed from this copy")


@pytest.fixture(scope="module")
def build() -> ModuleType:
    """teacher/build.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("teacher_build", TEACHER / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def headings(name: str) -> list[tuple[str, int, str, int]]:
    """(grade_id, points, level, minutes) of every exercise, as its heading and its cell in the student's notebook say."""
    found = []
    cells = read_notebook(ROOT / "notebooks" / "homework" / f"{name}.ipynb").cells
    for cell in cells:
        title = re.match(r"## \d+\. .* \((\d+) points, (?:(\w+), )?(\d+) minutes", cell.source)
        if title:
            after = cells[cells.index(cell) :]
            grade_id = next(iter(graded(type(cell)(cells=after))))
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
        notebook = read_notebook(ROOT / "notebooks" / "homework" / f"{name}.ipynb")
        told = headings(name)
        assert rows(part) == told
        scored = {key: cell.metadata.nbgrader["points"] for key, cell in graded(notebook).items() if cell.metadata.nbgrader["grade"]}  # fmt: skip
        assert {key.removeprefix("check_"): points for key, points in scored.items()} == {
            row[0]: row[1] for row in told
        }
        total, minutes = sum(row[1] for row in told), sum(row[3] for row in told)
        assert f"| | all | {total} | | {minutes} | |" in part
        assert f"{total} points" in notebook.cells[0].source


@pytest.mark.slow
def test_the_table_of_mistakes_is_the_one_of_the_exercises(build: ModuleType) -> None:
    """Catches: a mistake or a case that was changed without `make assignments`."""
    page = build.PAGE.read_text(encoding="utf-8")
    assert page == fill(page, {"mistakes": build.mutation_table()})


def test_the_hidden_cases_find_every_mistake() -> None:
    """Catches: a wrong answer that gets full points, whatever the seed."""
    table = (ROOT / "docs" / "homework.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| hw\d \| `\w+` \| .* \| (✓|-) \| (.*) \|$", table, re.M)
    assert len(found) > 100
    assert all(hidden == "✓" for _, hidden in found)
