"""Several ops in one, for fewer passes over memory: the contract of every op, with the composition as the formula."""
