"""The session plans, the table of beliefs and the quiz point at lessons that say what they say they do."""

import re
from functools import cache
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
TEACHER = ROOT / "teacher"
pytestmark = pytest.mark.skipif(not TEACHER.is_dir(), reason="the teacher's folder was removed from this copy")
REFERENCE = re.compile(r"\b(\d\d)((?:(?:,|,? and) \*[^*]+\*)+)")  # 02, *The cut* and *And the batch*
GIVEN = re.compile(r"\b(\d\d) \(\d+ minutes")  # 05 (35 minutes): a whole lesson, at home
LESSONS = [f"{number:02}" for number in range(13)]


def page(name: str) -> str:
    """A page of the teacher's folder, without what is bold: then only headings of lessons are between stars."""
    return re.sub(r"\*\*[^*]+\*\*", "", (TEACHER / name).read_text(encoding="utf-8"))


def plain(text: str) -> str:
    """Without stars, and with single spaces."""
    return " ".join(text.replace("*", "").split())


@cache
def sections(lesson: str) -> dict[str, str]:
    """Heading, without the level and minutes behind it -> text and outputs up to the next heading, in the executed edition."""
    [path] = (ROOT / "notebooks").glob(f"{lesson}_*.ipynb")
    found: dict[str, list[str]] = {}
    heading = ""
    for cell in nbformat.read(path, as_version=4).cells:
        for line in cell.source.splitlines() if cell.cell_type == "markdown" else []:
            if title := re.match(r"#+ (.*?)(?: \([^()]*\d+ minutes\))?$", line):
                heading = title[1]
            found.setdefault(heading, []).append(line)
        for output in cell.get("outputs", []):
            found[heading].append(output.get("text") or output.get("data", {}).get("text/markdown", ""))
    return {heading: plain("\n".join(lines)) for heading, lines in found.items()}


def references(text: str) -> list[tuple[str, str]]:
    """(lesson, heading) of everything that a text points at."""
    return [
        (lesson, heading) for lesson, some in REFERENCE.findall(text) for heading in re.findall(r"\*([^*]+)\*", some)
    ]


def sessions() -> dict[str, list[str]]:
    """Plan -> its sessions, each a text from its own heading on."""
    text = (TEACHER / "sessions.md").read_text(encoding="utf-8")
    parts = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.M | re.S))
    return {plan: re.split(r"^### ", parts[plan], flags=re.M)[1:] for plan in ("Six weeks", "Twelve weeks")}


def table(text: str, columns: int) -> list[list[str]]:
    """All rows of a page's tables that have so many columns, heads among them."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return [row for row in rows if len(row) == columns]


def quoted(lesson: str, heading: str, said: str) -> None:
    """Every "quotation" of a cell of a table is to be found in that section."""
    quotations = re.findall(r'"([^"]+)"', said)
    assert quotations, f"no quotation for {lesson}, {heading}"
    for quotation in quotations:
        words = rf"(?<!\w){re.escape(plain(quotation))}(?!\w)"
        assert re.search(words, sections(lesson)[heading]), f"{lesson}, {heading} does not say: {quotation}"


@pytest.mark.parametrize("name", ["sessions.md", "quiz.md"])
def test_every_heading_that_is_pointed_at_exists(name: str) -> None:
    """Catches: a lesson whose heading was renamed; a reference that is written in a way that nobody checks."""
    text = page(name)
    found = references(text)
    assert len(found) >= 12
    assert len(found) == len(re.findall(r"\*[^*]+\*", text)), "stars are for headings of lessons: 02, *The cut*"
    for lesson, heading in found:
        assert heading in sections(lesson), f"lesson {lesson} has no heading {heading!r}, only {list(sections(lesson))}"


def test_each_session_lasts_90_minutes_and_says_all_it_should() -> None:
    """Catches: a step that was added without taking its minutes from another; a part that a session lacks."""
    plans = sessions()
    assert {plan: len(each) for plan, each in plans.items()} == {"Six weeks": 6, "Twelve weeks": 12}
    for session in (session for plan in plans.values() for session in plan):
        title = session.splitlines()[0]
        steps = re.findall(r"^\| (\d+) \| (.+?) \| .+ \|$", session, re.M)
        assert sum(int(minutes) for minutes, _ in steps) == 90, title
        does = [re.findall(r"show|predict|write|discuss", who) for _, who in steps]
        assert all(does), title
        assert {"predict", "discuss", "write"} <= {verb for verbs in does for verb in verbs}, title
        for part in ("Before:", "Discuss:", "Exit question:", "Homework:", "If time is short:"):
            assert session.count(f"**{part}**") == 1, f"{title}: {part}"
        [exit_question] = re.findall(r"\*\*Exit question:\*\* (.+)", session)
        assert exit_question, title


def test_discussions_are_used_and_exist() -> None:
    """Catches: a session that names a discussion which is not there; one that no session uses."""
    text = page("sessions.md")
    known = {row[0]: row for row in table(text, 3) if re.fullmatch(r"\d\d[a-z]", row[0])}
    assert all("?" in row[1] or "Write" in row[1] for row in known.values())
    used: set[str] = set()
    for session in (session for plan in sessions().values() for session in plan):
        [named] = re.findall(r"^\*\*Discuss:\*\* (.+)\.$", session, re.M)
        assert 2 <= len(named.split(", ")) <= 3, session.splitlines()[0]
        steps = " ".join(line for line in session.splitlines() if line.startswith("|"))
        assert set(named.split(", ")) == set(re.findall(r"\b\d\d[a-z]\b", steps)), session.splitlines()[0]
        used |= set(named.split(", "))
    assert used == set(known)


def test_both_plans_come_to_every_lesson() -> None:
    """Catches: a lesson that a plan forgets."""
    for plan, each in sessions().items():
        text = "\n".join(each)
        assert {lesson for lesson, _ in references(text)} | set(re.findall(GIVEN, text)) == set(LESSONS), plan


def test_minutes_of_lessons_and_homework_are_those_of_their_pages() -> None:
    """Catches: minutes that were changed in one place only."""
    text = page("sessions.md")
    lessons = dict(re.findall(r"^\| \[(\d\d) .+ \| (\d+), [<\d ]+\|$", (ROOT / "notebooks" / "README.md").read_text(encoding="utf-8"), re.M))  # fmt: skip
    assert sorted(lessons) == LESSONS
    told = re.findall(r"\b(\d\d) \((\d+) minutes", text)
    assert len(told) >= 12
    assert all(lessons[lesson] == minutes for lesson, minutes in told)
    homework = re.findall(r"\| \| all \| \d+ \| \| (\d+) \| \|", (TEACHER / "README.md").read_text(encoding="utf-8"))
    given = re.findall(r"Homework (\d) \((\d+) minutes\)", text)
    assert len(given) == 2 * len(homework)
    assert all(homework[int(number) - 1] == minutes for number, minutes in given)


def test_homework_is_due_when_both_ends_say_so() -> None:
    """Catches: a date that was changed where homework is handed out, or where it is due, and not in both."""
    dates = []
    for plan, each in sessions().items():
        for given, session in enumerate(each, start=1):
            for number, due in re.findall(r"Homework (\d) \([^)]+\) is handed out[^.]*due before \w+ (\d+)", session):
                assert given < int(due)
                assert f"Homework {number} is due." in each[int(due) - 1], f"{plan}, {due}"
                dates.append(number)
    assert dates == ["1", "2", "1", "2", "3"]


def beliefs() -> dict[str, list[str]]:
    """The rows of the table of beliefs, by number."""
    return {row[0]: row for row in table(page("sessions.md"), 5) if row[0].isdigit()}


def test_the_cell_shows_what_the_table_of_beliefs_says() -> None:
    """Catches: a belief that its lesson no longer speaks to, a row without a question to ask."""
    rows = beliefs()
    assert list(rows) == [str(number) for number in range(1, 21)]
    for _, belief, cell, shows, ask in rows.values():
        [(lesson, heading)] = references(cell)
        quoted(lesson, heading, shows)
        assert ask.count("?") >= 1, belief


def test_the_quiz_has_twelve_questions_and_its_lessons_settle_them() -> None:
    """Catches: a key that names no option, an answer that no lesson bears out, a right answer that its letter or length gives away."""
    text = page("quiz.md")
    asked = re.findall(r"^## (\d+)\. (.+?)\n\n((?:- [A-Z]\. .+\n)+)", text, re.M)
    assert [number for number, _, _ in asked] == [str(number) for number in range(1, 13)]
    key = {row[0]: row for row in table(text, 5) if row[0].isdigit()}
    assert list(key) == [number for number, _, _ in asked]
    longest = 0
    for number, question, listed in asked:
        options = dict(re.findall(r"^- ([A-Z])\. (.+)$", listed, re.M))
        assert list(options) == list("ABCD"), question
        assert len(set(options.values())) == 4, question
        assert "?" in question
        longest += max(options, key=lambda letter: len(options[letter])) == key[number][1]
    assert longest <= 4, "who always picks the longest option gets too many right"
    letters = [right for _, right, _, _, _ in key.values()]
    assert {letter: letters.count(letter) for letter in "ABCD"} == dict.fromkeys("ABCD", 3)
    for _, _, cell, says, belief in key.values():
        [(lesson, heading)] = references(cell)
        quoted(lesson, heading, says)
        assert belief in beliefs()
