"""Which files of a folder are videos: one rule, by name.

docs/files.md gives the rule with the kinds of files that are read.
"""

import os
from pathlib import Path

SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".qt", ".f4v", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".divx", ".wmv", ".asf", ".flv", ".mpg", ".mpeg",
    ".m1v", ".m2v", ".vob", ".ts", ".m2t", ".mts", ".m2ts", ".mxf", ".ogv", ".dv", ".rm", ".wtv", ".nut", ".y4m", ".gif",
)  # fmt: skip
Reasons = dict[str, list[str]]  # why files were left out -> their names


def hidden(name: str) -> bool:
    """Whether a name is one that people do not see: a dot-name, or what macOS and Synology add to folders."""
    return name.startswith(".") or name in ("__MACOSX", "@eaDir")


def find_videos(folder: Path) -> tuple[list[Path], Reasons]:
    """All files below a folder that are videos by their names, sorted, and what was left out.

    Links are followed, and a folder that two of them reach is entered once.  Raises ValueError if a folder cannot be read.
    """

    def unreadable(error: OSError) -> None:
        raise ValueError(
            f"folder {error.filename} cannot be read ({error.strerror}); change its permissions or move it"
        )

    found: list[Path] = []
    left_out: Reasons = {}
    entered: set[str] = set()
    for here, folders, names in os.walk(folder, followlinks=True, onerror=unreadable):
        if os.path.realpath(here) in entered:
            folders.clear()
            continue
        entered.add(os.path.realpath(here))
        for name in filter(hidden, sorted(folders + names)):
            left_out.setdefault("hidden", []).append(name)
        folders[:] = sorted(name for name in folders if not hidden(name))
        for name in sorted(name for name in names if not hidden(name)):
            if Path(name).suffix.lower() in SUFFIXES:
                found.append(Path(here, name))
            else:
                left_out.setdefault("not a video by its name", []).append(name)
    return sorted(found), left_out
