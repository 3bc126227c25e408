"""Latency and energy of the real model on this device."""
