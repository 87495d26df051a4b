"""The compiled tier to read: every op as plain loops, its formula and nothing else.

Read a kernel beside the naive form in the op's own file, ``npdsconv/ops/``: it takes the same sums. These make it so
much faster:

* It is compiled.
* The channels of a pixel lie side by side in memory (*channels-last*), and the innermost loop runs over them, so that
  the compiler can do several at once.
* The outermost loop is a ``prange``: its turns are shared out among threads. Each turn *owns* a part of the output,
  which a comment names. It alone writes there, so no thread waits for another or spoils its numbers.
* Where all images meet in one sum (dw, statistics), a turn owns the partial sum of a few of them. How many is fixed,
  and partial sums are added up in order: so the last bit does not depend on the number of threads either.

A window may reach beyond the image. What it would read there is zero, so it is left out.

The kernels of the same names one folder up compute the same, tuned: with less traffic between memory and registers.
"""
