"""The report of a program as one HTML file: the machine as a drawing, layers, causes, roofline, timeline, occupancy of memories.

    data       every number of the page, as JSON
    occupancy  bytes of each memory that are waiting to be read, over time
    drawing    the machine, and the roofline, as SVG
    page       all of it in one file that needs nothing else
"""

from covenant.analysis.html.data import report_data
from covenant.analysis.html.page import html_page

__all__ = ["html_page", "report_data"]
