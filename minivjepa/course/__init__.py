"""What the lessons use: pictures, widgets, checks, and the check of a machine."""
