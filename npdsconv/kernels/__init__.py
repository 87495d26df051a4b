"""Where Numba lives, and nowhere else: parallel loops over channels-last memory."""
