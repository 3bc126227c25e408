"""Measuring a map: cells, engines, scores."""
