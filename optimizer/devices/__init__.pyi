from .find import PAPER, device_path, shipped_devices

__all__ = ["PAPER", "device_path", "shipped_devices"]
