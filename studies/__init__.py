"""The studies: questions that are answered by training, each one command, one page with a figure, seeds and spread.

    python -m studies list
    python -m studies run widths        train what is not recorded yet; Ctrl-C is harmless, the next call goes on
    python -m studies pages             write docs/studies/*.md, their figures, docs/results.md and README's table

One file is one study: a question, its arms (what is changed of the package's own recipe), a figure, and words whose
numbers are computed. Everything is scored on held-out training images; only `recipes` looks at test images.
"""
