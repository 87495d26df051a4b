"""Loops that are used inside kernels: products, bordered images, partial sums, batch norm, parts of a block."""
