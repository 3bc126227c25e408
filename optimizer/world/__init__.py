"""The system: Table I, tasks, pathloss, physics, environment."""
