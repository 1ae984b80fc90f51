"""A report as one HTML file that stands by itself: its content as values, the figures, and the page."""
