from .html import check_html, provenance_rows, write_page

__all__ = ["check_html", "provenance_rows", "write_page"]
