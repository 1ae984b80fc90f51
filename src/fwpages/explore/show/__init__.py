"""A walk as a chart, a picture, a trace and a report."""
