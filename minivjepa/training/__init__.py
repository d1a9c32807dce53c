"""Training a V-JEPA: what decides its weights, the loop, and the files that it leaves."""
