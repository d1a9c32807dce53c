"""Training a V-JEPA: the config that decides its weights, the loop, and the files of a run."""
