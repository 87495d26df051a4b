"""Early stopping: an end to training when held-out images have not been read better for a while."""

import math
import operator

from npdsconv.layers import Layer


class EarlyStopping:
    """Says when a loss has not fallen for some epochs. Give it a loss that was measured on held-out images.

    Parameters
    ----------
    patience : int
        Epochs without a new least loss after which to stop, at least 1.
    min_delta : float
        What counts as less: at least this much below the least so far.
    model : Layer, optional
        Its weights at the least loss are kept, for :meth:`restore`; before there is one, those it has now.

    Attributes
    ----------
    best, best_epoch : the least loss so far, and at which call it was, from 1; infinity and 0 before the first

    Notes
    -----
    The held-out images have then chosen the epoch: their score at it is a little too good. Report that of other images.
    With a schedule that ends at a fixed step (``one_cycle``, ``cosine``) most is learned at the very end, and stopping
    before saves little and costs much.

    References
    ----------
    Prechelt, "Early Stopping, but when?", 1998.

    Examples
    --------
    ::

        stop = EarlyStopping(patience=5, model=model)
        for result in epochs(model, learn, optimizer, epochs=200, validation=held):
            if stop(result.validation.loss):
                break
        stop.restore()
    """

    def __init__(self, patience: int = 5, *, min_delta: float = 0.0, model: Layer | None = None) -> None:
        self.patience = operator.index(patience)
        if self.patience < 1:
            raise ValueError(f"EarlyStopping: patience must be at least 1, got {patience}")
        if not 0 <= min_delta < math.inf:
            raise ValueError(f"EarlyStopping: min_delta must be at least 0 and finite, got {min_delta}")
        self.min_delta = min_delta
        self.model = model
        self.best, self.best_epoch, self.epoch = math.inf, 0, 0
        self._state = None if model is None else model.state_dict()

    def __call__(self, loss: float) -> bool:
        """Take in the loss of one more epoch; whether to stop now."""
        self.epoch += 1
        if loss < self.best - self.min_delta:  # never true of a NaN
            self.best, self.best_epoch = loss, self.epoch
            if self.model is not None:
                self._state = self.model.state_dict()
        return self.epoch - self.best_epoch >= self.patience

    def restore(self) -> None:
        """Give the model the weights that it had at the least loss.

        Raises
        ------
        ValueError
            No model was given.
        """
        if self.model is None or self._state is None:
            raise ValueError("EarlyStopping: restore needs a model: EarlyStopping(patience, model=model)")
        self.model.load_state_dict(self._state)
