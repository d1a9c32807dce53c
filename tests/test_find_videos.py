"""Which files of a folder are used, and what is said of the others."""

import cProfile
import os
import re
from pathlib import Path

import pytest

from minivjepa.data.find_videos import SUFFIXES, find_videos
from minivjepa.data.video import VideoClips
from minivjepa.tubelets import Grid
from tests.test_cli import TINY, call, refused
from tests.test_video import counting, silent_sound, write_video

pytest.importorskip("av", reason="needs the video extra")
GRID = Grid(4, 16, 16, 2, 8)
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def put(path: Path, text: str = "text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_files_of_a_folder_are_chosen_by_name(tmp_path: Path) -> None:
    """Catches: a phone's .MOV passed over, files in subfolders forgotten; what macOS and a NAS leave behind taken for films."""
    wanted = [put(tmp_path / f"{number}{suffix.upper()}") for number, suffix in enumerate(SUFFIXES)]
    wanted += [put(tmp_path / "shots.mp4" / "a.mov"), put(tmp_path / "b" / "c" / "d.MP4")]
    for name in ("._0.mp4", ".hidden/a.mp4", "__MACOSX/a.mp4", "b/@eaDir/a.mp4", "b/notes.txt", "mp4", "a.mp4.part"):
        put(tmp_path / name)
    found, left_out = find_videos(tmp_path)
    assert found == sorted(wanted)
    assert left_out["hidden"] == ["._0.mp4", ".hidden", "__MACOSX", "@eaDir"]
    assert sorted(left_out["not a video by its name"]) == ["a.mp4.part", "mp4", "notes.txt"]


def test_links_are_followed_once(tmp_path: Path) -> None:
    """Catches: linked folders passed over, a film counted twice, a search that goes round and round."""
    film = put(tmp_path / "elsewhere" / "film.mp4")
    folder = tmp_path / "films"
    put(folder / "inner" / "a.mp4")
    (folder / "linked.mp4").symlink_to(film)
    (folder / "outside").symlink_to(film.parent)
    (folder / "outside again").symlink_to(film.parent)
    (folder / "inner" / "loop").symlink_to(folder)
    found, _ = find_videos(folder)
    assert [str(path.relative_to(folder)) for path in found] == ["inner/a.mp4", "linked.mp4", "outside/film.mp4"]


def messy(folder: Path) -> Path:
    """Two films among everything that can stand beside films."""
    write_video(folder / "a.mkv", counting(8)).rename(folder / "a.MKV")
    write_video(folder / "b.mp4", counting(8))
    write_video(folder / "short.mkv", counting(3))
    silent_sound(folder / "sound.mkv")
    put(folder / "pointer.mp4", POINTER)
    put(folder / "._b.mp4")
    put(folder / "empty.mp4", "")
    put(folder / "labels.txt")
    put(folder / "component.ts", "export const answer = 42;")
    (folder / "dangling.mp4").symlink_to(folder / "gone.mp4")
    os.mkfifo(folder / "pipe.mp4")
    return folder


def test_a_folder_says_what_it_leaves_out_and_why(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Catches: one bad file that stops a folder, or one that is left out without a word."""
    source = VideoClips(messy(tmp_path), GRID)
    assert [file.path.name for file in source.files] == ["a.MKV", "b.mp4"]
    [line] = [line for line in capfd.readouterr().err.splitlines() if "videos used" in line]
    assert "2 videos used; left out: 1 hidden: ._b.mp4; 1 not a video by its name: labels.txt; " in line
    for reason in (
        "1 is a Git LFS pointer: pointer.mp4",
        "1 is empty (0 bytes): empty.mp4",
        "2 is not a file: dangling.mp4 ...",
        "1 has no video stream: sound.mkv",
        "1 has 3 frames, a clip needs 4: short.mkv",
        "1 cannot be decoded (Invalid data found when processing input): component.ts",
    ):
        assert reason in line


def test_strict_refuses_what_would_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: an option that nobody reads; one that minds hidden files and notes too."""
    write_video(tmp_path / "a.mkv", counting(8))
    put(tmp_path / ".DS_Store")
    put(tmp_path / "labels.txt")
    words = ["train", *TINY, "--data", str(tmp_path), "--strict", "--out"]
    assert call(*words, str(tmp_path / "one")) == 0
    put(tmp_path / "b.mp4", POINTER)
    for more in ([], ["--workers", "1"]):
        assert "b.mp4 is a Git LFS pointer; run `git lfs pull`" in refused(capsys, *words, str(tmp_path / "two"), *more)
    assert "neither for digits" in refused(capsys, "train", *TINY, "--strict", "--out", str(tmp_path / "two"))
    assert not (tmp_path / "two").exists()


def test_a_folder_without_a_usable_video_is_refused(tmp_path: Path) -> None:
    """Catches: training on nothing; a folder that cannot be read taken for an empty one."""
    put(tmp_path / "b.mp4", POINTER)
    with pytest.raises(ValueError, match=r"holds no video; expected .* \(left out: 1 is a Git LFS pointer: b.mp4\)"):
        VideoClips(tmp_path, GRID)


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: half a data set, because of one folder's permissions."""
    write_video(tmp_path / "a.mkv", counting(8))
    (tmp_path / "locked").mkdir()
    scan = os.scandir

    def locked(path: str) -> object:  # root may read everything, so permissions cannot be tested
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", locked)
    with pytest.raises(ValueError, match=r"folder .*locked cannot be read \(Permission denied\)"):
        VideoClips(tmp_path, GRID)


def test_four_times_the_files_are_about_four_times_the_work(tmp_path: Path) -> None:
    """Catches: work that grows with the square of the number of files."""
    calls = []
    for name, count in (("small", 100), ("large", 400)):
        folder = tmp_path / name
        for number in range(count):
            for file in ("notes.txt", "._clip.mp4", "pointer.mp4", "broken.mov"):
                put(
                    folder / str(number % 20) / f"{file[:2]}{number}{file[2:]}",
                    POINTER if "pointer" in file else "text",
                )
        for number in range(count // 20):
            write_video(folder / f"{number}.mkv", counting(8))
        with cProfile.Profile() as profile:
            assert len(VideoClips(folder, GRID).files) == count // 20
        calls.append(sum(entry.callcount for entry in profile.getstats()))
    assert calls[1] < 4.5 * calls[0]


def test_every_kind_of_file_in_the_docs_names_a_test_that_exists() -> None:
    """Catches: a kind of file that is promised and no longer tested; a row without its source."""
    tests = Path(__file__).parent
    lines = (tests.parent / "docs" / "files.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| kind |")]
    assert len(rows) > 20
    for row in rows:
        assert "https://github.com/" in row or "seen by us" in row, row
        [(file, function)] = re.findall(r"`(test_\w+\.py)::(\w+)`", row)
        assert f"def {function}(" in (tests / file).read_text(), row
