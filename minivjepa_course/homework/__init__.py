"""Homework: visible checks for students, hidden ones and grading for teachers.

Check cells call `check`.  No file here holds an answer: cases are inputs with the right outputs and those of known mistakes,
computed from the teacher's source by `make assignments`.
"""

from minivjepa_course.homework.checking import CheckFailed, check, is_right

__all__ = ["CheckFailed", "check", "is_right"]
