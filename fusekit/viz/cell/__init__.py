"""A `%%fuse` cell: what stands in it and what became of it."""
