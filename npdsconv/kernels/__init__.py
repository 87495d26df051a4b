"""Where Numba lives, and nowhere else: parallel loops over channels-last memory.

``README.md`` beside this file is the map: what each file does, which kernel runs for which call, the words, in which
order to read, and how to add a kernel.
"""
