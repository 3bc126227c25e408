"""Channels that a map can be of."""

CHANNELS = ("awgn", "rayleigh", "rician")
