"""The pictures of the lessons, a file for each kind: functions that return a Picture or a Film."""
