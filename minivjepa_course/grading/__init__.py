"""What a teacher runs: submissions in confined processes, a table of grades, pages of feedback."""
