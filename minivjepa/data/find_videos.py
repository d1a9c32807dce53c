"""Which files of a folder are videos: one rule, by name, which docs/files.md gives too."""

import os
from pathlib import Path

SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".qt", ".f4v", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".divx", ".wmv", ".asf", ".flv", ".mpg", ".mpeg",
    ".m1v", ".m2v", ".vob", ".ts", ".m2t", ".mts", ".m2ts", ".mxf", ".ogv", ".dv", ".rm", ".wtv", ".nut", ".y4m", ".gif",
)  # fmt: skip
ADDED = ("__MACOSX", "@eaDir")  # folders that macOS and Synology add
Reasons = dict[str, list[str]]  # why files were left out -> their names


def find_videos(folder: Path) -> tuple[list[Path], Reasons]:
    """All files below a folder that are videos by their names, sorted, and what was left out.

    Links are followed, and a folder that two of them reach is entered once.  Raises ValueError if a folder cannot be read.
    """

    def unreadable(error: OSError) -> None:
        reason = f"folder {error.filename} cannot be read ({error.strerror})"
        raise ValueError(f"{reason}; change its permissions or move it")

    found: list[Path] = []
    left_out: Reasons = {}
    entered: set[str] = set()
    for here, folders, names in os.walk(folder, followlinks=True, onerror=unreadable):
        if os.path.realpath(here) in entered:
            folders.clear()
            continue
        entered.add(os.path.realpath(here))
        hidden = {name for name in folders + names if name.startswith(".") or name in ADDED}
        if hidden:
            left_out.setdefault("hidden", []).extend(sorted(hidden))
        folders[:] = sorted(set(folders) - hidden)
        for name in sorted(set(names) - hidden):
            if Path(name).suffix.lower() in SUFFIXES:
                found.append(Path(here, name))
            else:
                left_out.setdefault("not a video by its name", []).append(name)
    return sorted(found), left_out
