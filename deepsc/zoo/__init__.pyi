from .find import list_codecs, map_path, release_of, resolve

__all__ = ["list_codecs", "map_path", "release_of", "resolve"]
