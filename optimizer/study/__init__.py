"""Experiments: train and test, figures, fronts, plans, pages."""
