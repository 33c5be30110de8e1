"""The report: one page that needs neither network nor script."""
