"""How many items an interval needs."""

INTERVAL_ITEMS_MIN = 16
"""Fewer items tell too little of their own spread: the bootstrap interval of one item has no width at all."""
