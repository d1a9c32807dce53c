"""A small world with actions, a world model without heuristics, and planning to a goal that is a picture."""
