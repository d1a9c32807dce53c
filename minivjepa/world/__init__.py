"""Small worlds with a robot, world models, and planning to a goal that's a picture."""
