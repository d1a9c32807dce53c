"""The course: what the lessons and the homework use, and what grades it.  The method is in minivjepa, which imports nothing from here."""
