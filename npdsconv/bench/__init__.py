"""Timing: what ``npdsconv bench`` measures, here and beside other libraries.

How it is measured, once for all (`measuring`, `process`, `worker`):

* Each library runs in a process of its own, started for the purpose. Two pools of threads in one process disturb one
  another: their workers keep spinning for a while after each call. A process that is not asked sleeps in a read.
* The contestants take turns in short blocks, A B C A B C ..., so that a busy minute of the machine strikes all.
* Every block begins with calls that are not timed, and compiling and warming up come before all of it.
* What is told of a time is the median of all calls, with the quartiles; of a ratio, the same over the rounds.
* Freed memory is kept in all of these processes alike (`npdsconv.malloc`), as ``npdsconv train`` does, for whoever gets
  it anew from the system in each step waits for the pages as long as for the arithmetic. What a training step of
  PyTorch takes as installed, without that favour, stands in a column of its own.

One file for each subcommand: `ops`, `training`, `inference`, `roofline`, `scaling`. `workloads` says what is computed,
`own`, `with_torch` and `with_onnxruntime` compute it.
"""
