from .config import TransmitConfig
from .show import show_transmissions

__all__ = ["TransmitConfig", "show_transmissions"]
