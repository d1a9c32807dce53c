"""Clips to train on: moving handwriting with known factors, and real video files."""
