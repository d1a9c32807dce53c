"""Homework: visible checks for students, hidden ones and grading for teachers.

`check` is what check cells call.  Nothing here, and no file beside it, holds an answer: cases are inputs with the outputs that
are right, and with the outputs of known mistakes, computed from the teacher's source by `make assignments`.
"""

from minivjepa.homework.checking import CheckFailed, check

__all__ = ["CheckFailed", "check"]
