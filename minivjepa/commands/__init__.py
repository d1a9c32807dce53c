"""The commands, one file each: its options as a dataclass, and a function that takes its words and returns an exit code."""
