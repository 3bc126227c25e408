from .find import list_codecs, release_of, resolve

__all__ = ["list_codecs", "release_of", "resolve"]
