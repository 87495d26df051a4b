"""Loops that are used inside kernels: products, padded copies, partial sums, batch norm, pieces of a block."""
