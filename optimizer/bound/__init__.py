"""Certified upper bounds of a step and of an episode."""
