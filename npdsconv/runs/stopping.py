"""Stopping early, in a run that may be interrupted and go on."""

from collections.abc import Iterable, Iterator

from npdsconv.runs import history
from npdsconv.train import EarlyStopping, EpochResult


def until_patience_ends(
    results: Iterator[EpochResult], patience: int, rows: Iterable[history.Row]
) -> Iterator[EpochResult]:
    """The epochs of a training, up to the one after which the held-out loss has not fallen for `patience` epochs.

    Parameters
    ----------
    rows : the history of the epochs that are done already, as a checkpoint keeps it
        Losses count as they are written there, so that a resumed run ends where an uninterrupted one does.
    """
    stop = EarlyStopping(patience)
    if any(stop(loss) for loss in history.column(rows, "held_out_loss")):
        return
    for result in results:
        yield result
        if stop(*history.column([history.row(result)], "held_out_loss")):
            return
