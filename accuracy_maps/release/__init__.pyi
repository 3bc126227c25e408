from .card import model_card
from .config import ReleaseConfig
from .make import make_release
from .page import zoo_page

__all__ = ["ReleaseConfig", "make_release", "model_card", "zoo_page"]
