"""What a trained encoder is good for: probes, controls, and the statistics that compare runs."""
