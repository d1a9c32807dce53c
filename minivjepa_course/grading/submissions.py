"""What was handed in: whose it is, by the names that Moodle, Canvas and Blackboard give, and how to read any file safely."""

import itertools
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from minivjepa_course.homework.notebooks import LARGEST_FILE

SUFFIX = ".ipynb"
WEIGHTS = ".pt"  # of a project, beside the notebook
MOST_FILES = 20  # of one student
LEVELS = 3  # of folders, from a student's down
JUNK = ("__macosx", "desktop.ini", "thumbs.db")  # what systems put into archives, besides hidden files
PLATFORMS = {  # how an export names what belongs to a student
    "moodle": re.compile(r"(?P<name>.+?)_(?P<id>\d+)_assignsubmission_(file|onlinetext)(_(?P<rest>.*)|\..*)?"),
    "blackboard": re.compile(r"(?P<group>.+?_(?P<id>[^_]+))_attempt_(?P<time>\d{4}(-\d\d){5})(_.+|\.txt)?"),
    "canvas": re.compile(r"(?P<name>[^_]+)(?P<late>_LATE)?_(?P<id>\d+)_(?P<time>\d+)_(?P<rest>.+?)(-(?P<turn>\d+))?\.\w+"),
}  # fmt: skip
HOMEWORK = re.compile(r"hw[ _-]?\d[^a-z]*\.ipynb", re.I)  # names that say which notebook it is, not whose
SAYS_NAME = re.compile(r"\s*Name: *(.+?) *\(([^()\n]+)\) *$", re.M)  # the text that Blackboard puts beside an attempt


class HandedIn(NamedTuple):
    """One row of the table.

    file: the path inside the folder; number: of the student on the platform, or the user name; older: files of earlier attempts, which
    are not graded; instead: what is there if no notebook is; weights: the newest file of weights of this student, of files handed in
    together the last by name.
    """

    path: Path
    student: str
    file: str = ""
    number: str = ""
    late: bool = False
    older: tuple[str, ...] = ()
    platform: str = ""
    instead: str = ""
    weights: Path | None = None


class Entry(NamedTuple):
    """An entry of the folder, and what its name says.  person: whose it is; task: of which it is an attempt; attempt: which."""

    item: HandedIn
    files: list[Path]
    person: str
    task: str
    attempt: tuple[int, ...]


def submissions(folder: Path) -> list[HandedIn]:
    """What each student handed in: FOLDER/STUDENT.ipynb, FOLDER/STUDENT/hw1.ipynb, or an export of Moodle, Canvas or Blackboard.

    Of several attempts the newest counts.  A student's folder without a notebook, or with too many files, gives one row.  Hidden files are
    left out.  Raises ValueError if there is nothing.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder or a zip file; give the one that holds the submissions")
    people: dict[str, list[Entry]] = {}
    paths = listed(students_in(folder))
    platforms = most_fitting([path.name for path in paths])
    for path in paths:
        if is_folder(path) or platform_of(path.name) or may_be_notebook(path) or is_weights(path):
            entry = read_entry(path, platforms)
            people.setdefault(entry.person, []).append(entry)
    rows = [row for mine in people.values() for row in rows_of(mine, folder)]
    if not rows:
        raise ValueError(f"{folder} holds no files; expected STUDENT{SUFFIX} or STUDENT/hw1{SUFFIX}")
    return rows


def left_out(folder: Path, rows: Sequence[HandedIn]) -> list[str]:
    """The files of a folder that no row names."""
    named = {name for row in rows for name in (row.file, *row.older)}
    named |= {row.weights.relative_to(folder).as_posix() for row in rows if row.weights}
    paths = (path.relative_to(folder) for path in files_in(folder, LEVELS + 2, everything=True))
    return [path.as_posix() for path in paths if not named & {path.as_posix(), *(p.as_posix() for p in path.parents)}]


def listed(folder: Path, everything: bool = False) -> list[Path]:
    """The entries of a folder, without hidden files and what systems leave, unless `everything` is asked for."""
    found = sorted(folder.iterdir())
    return found if everything else [path for path in found if path.name[0] != "." and path.name.lower() not in JUNK]


def students_in(folder: Path) -> Path:
    """The folder that holds the students' entries: this one, or the single one in it, if that holds several students or an export."""
    inside = listed(folder)
    if len(inside) != 1 or not is_folder(inside[0]) or platform_of(inside[0].name):
        return folder
    entries = listed(inside[0])
    several = [path for path in entries if is_folder(path) or (may_be_notebook(path) and not HOMEWORK.match(path.name))]
    return inside[0] if len(several) > 1 or any(platform_of(path.name) for path in entries) else folder


def single_folder(folder: Path) -> str:
    """What the single folder in a folder is taken for, in words; empty if there are more, or if its name says whose it is."""
    inside = listed(folder)
    if len(inside) != 1 or not is_folder(inside[0]) or platform_of(inside[0].name):
        return ""
    as_class = "the class: each entry in it is a student's"
    return f"{inside[0].name} is taken for {'one student' if students_in(folder) == folder else as_class}"


def read_entry(path: Path, platforms: Sequence[str]) -> Entry:
    """What the name of an entry says, and which files it has.  platforms: in the order in which they are tried."""
    name = unicodedata.normalize("NFC", path.name)  # some systems write é as two characters
    platform = platform_of(name, platforms)
    found = PLATFORMS[platform].fullmatch(name) if platform else None
    about = found.groupdict(default="") if found else {}
    number = about.get("id", "")
    bare = name[: -len(WEIGHTS)] if is_weights(path) else re.split(re.escape(SUFFIX), name, flags=re.I)[0]
    item = HandedIn(path, about.get("name") or number or bare, number=number, platform=platform)
    item = item._replace(late=bool(about.get("late")))
    files = [path]
    if is_folder(path):
        files = list(itertools.islice(files_in(path, LEVELS), MOST_FILES + 1))
        files = files if len(files) <= MOST_FILES else [path]
    attempt = tuple(map(int, re.findall(r"\d+", f"{about.get('turn') or 0}-{about.get('time', '')}")))
    return Entry(item, files, about.get("group") or f"{item.student} {number}", about.get("rest", ""), attempt)


def rows_of(mine: Sequence[Entry], folder: Path) -> Iterator[HandedIn]:
    """The rows of one student: the newest attempt at each task, or one that says what there is instead of a notebook."""
    names = {path: path.relative_to(folder).as_posix() for entry in mine for path in (*entry.files, entry.item.path)}
    texts = (beginning(path) for path in names if mine[0].item.platform == "blackboard" and path.suffix == ".txt")
    said = next(filter(None, map(SAYS_NAME.match, texts)), None)
    first = mine[0].item
    student, number = (said[1], said[2]) if said else (first.student, first.number)
    handed_in = [(entry, path) for entry in mine for path in entry.files if may_be_notebook(path)]
    # by the time first: the number at the end of encoder-200.pt may be the student's
    trained = [
        ((*entry.attempt[1:], entry.attempt[0]), path) for entry in mine for path in entry.files if is_weights(path)
    ]
    weights = max(trained)[1] if trained else None
    for task in dict.fromkeys(entry.task for entry, _ in handed_in):
        tries = [(entry, path) for entry, path in handed_in if entry.task == task]
        newest = max(entry.attempt for entry, _ in tries)
        older = tuple(names[path] for entry, path in tries if entry.attempt != newest)
        for entry, path in tries:
            if entry.attempt == newest:
                item = entry.item._replace(path=path, file=names[path], older=older, weights=weights)
                yield item._replace(student=student, number=number)
    if not handed_in:
        others = ", ".join(path.name for entry in mine for path in entry.files)
        why = f"there is {others} and no notebook: hand in the notebook itself" if others else "the folder is empty"
        yield first._replace(student=student, number=number, file=names[first.path], instead=why)


def files_in(folder: Path, levels: int, everything: bool = False) -> Iterator[Path]:
    """The files in a folder and in those inside it, so many levels in all; what is deeper is given as its folder."""
    for path in listed(folder, everything):
        if is_folder(path) and levels > 1:
            yield from files_in(path, levels - 1, everything)
        else:
            yield path


def most_fitting(names: Sequence[str]) -> list[str]:
    """The platforms, first the one that fits most names of a class: what a student chose in one may look like another platform's."""
    return sorted(PLATFORMS, key=lambda platform: -sum(bool(PLATFORMS[platform].fullmatch(name)) for name in names))


def platform_of(name: str, platforms: Iterable[str] = PLATFORMS) -> str:
    """The first platform that gives such a name to what a student hands in; empty if none does."""
    return next((platform for platform in platforms if PLATFORMS[platform].fullmatch(name)), "")


def is_folder(path: Path) -> bool:
    """Whether this is a folder itself, not a link to one."""
    return stat.S_ISDIR(path.lstat().st_mode)


def may_be_notebook(path: Path) -> bool:
    """Whether the name is a notebook's, as browsers change it too (hw1.ipynb.json), or it isn't a regular file, which the table has to say."""
    return SUFFIX in path.name.lower() or not stat.S_ISREG(path.lstat().st_mode)


def is_weights(path: Path) -> bool:
    """Whether this is a file of weights, by its name."""
    return path.suffix.lower() == WEIGHTS and stat.S_ISREG(path.lstat().st_mode)


def beginning(path: Path) -> str:
    """The first words of a text; empty if it isn't a regular file."""
    if not stat.S_ISREG(path.lstat().st_mode):
        return ""
    with path.open("rb") as file:
        return file.read(1000).decode(errors="replace")


def read_file(path: Path) -> bytes:
    """The content of a submission.  Raises ValueError for a link, a folder or a device, before reading it."""
    kind = stat.S_IFMT(path.lstat().st_mode)
    if kind != stat.S_IFREG:  # a link could point to the solutions; reading a pipe or a device may never end
        folder = f"a folder inside a student's folder, {LEVELS} deep, or has more than {MOST_FILES} files"
        odd = {stat.S_IFLNK: "a link to another file", stat.S_IFDIR: folder}.get(kind, "not a regular file")
        raise ValueError(f"{path.name} is {odd}: hand in the notebook itself")
    with path.open("rb") as file:
        return file.read(LARGEST_FILE + 1)  # one byte too many is enough to be refused
