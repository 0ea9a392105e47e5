"""What the formulas and figures of pages are compared with, a file a section of the index."""
