"""The report as one HTML file that needs nothing else: no script from elsewhere, no font, no picture beside it."""

from edgecnn.bench.html.page import Section, page, sections, write_page

__all__ = ["Section", "page", "sections", "write_page"]
