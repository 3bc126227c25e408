"""Who decides: baselines and learners."""
