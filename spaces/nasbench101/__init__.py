"""NAS-Bench-101: cells, their networks, all of them in order, their sizes, and the published files."""
