"""What is kept in memory: two activations in inference, in training all until their pullbacks let go."""

import tracemalloc
import weakref

from helpers import normal

from npdsconv.layers import DepthwiseSeparableConv2d, Layer, ReLU, Residual, Sequential, pullback


class Probe(Layer):
    """y = 2x; notes how many of all the outputs before are still alive when it runs, forward and backward."""

    def __init__(self, log):
        self.log = [log]  # in a list, so that it is not taken for a child

    def forward(self, x, *, train):
        log = self.log[0]
        log.note()
        y = 2 * x
        log.outputs.append(weakref.ref(y))

        @pullback
        def backward(dy):
            log.note()
            return dy + 0 * x

        return y, backward


class Log:
    def __init__(self):
        self.outputs, self.alive = [], []

    def note(self):
        self.alive.append(sum(output() is not None for output in self.outputs))


def test_inference_holds_two_activations():
    """Each probe sees its own input alive and nothing else: with its output that makes two."""
    log = Log()
    y = Sequential(*(Probe(log) for _ in range(6)))(normal(3, 4))
    assert log.alive == [0, 1, 1, 1, 1, 1]
    assert [output() is y for output in log.outputs] == [False] * 5 + [True]


def test_inference_through_blocks_holds_a_blocks_input_besides():
    log = Log()
    body = Sequential(Probe(log), Probe(log), Probe(log))
    Sequential(Probe(log), Residual(body, Sequential(Probe(log), Probe(log))), Probe(log), body)(normal(3, 4))
    assert max(log.alive) == 3
    log = Log()
    block = DepthwiseSeparableConv2d(3, 4, 3)
    for name in ("depthwise", "bn1", "mid_activation", "pointwise", "bn2", "activation"):
        setattr(block, name, Probe(log))
    Sequential(Probe(log), block)(normal(3, 4))
    assert log.alive == [0, 1, 2, 2, 2, 2, 2]


def test_training_holds_all_until_the_pullbacks_let_go_one_by_one():
    log = Log()
    model = Sequential(Probe(log), Probe(log), Residual(Sequential(Probe(log), Probe(log))), Probe(log))
    y, backward = model.forward(normal(3, 4), train=True)
    dy = normal(*y.shape, seed=1)
    del y
    assert log.alive == [0, 1, 2, 3, 3]  # a body's last output is not kept once it is added
    log.alive.clear()
    backward(dy)
    assert log.alive == [3, 3, 2, 1, 0]


def test_inference_by_the_allocator():
    """Eight outputs of a megabyte each: two at a time in inference, all eight where a pullback waits."""
    model = Sequential(*(ReLU(impl="numpy") for _ in range(8)))
    x = normal(1 << 17)

    def peak(run):
        tracemalloc.start()
        try:
            kept = run()
            return tracemalloc.get_traced_memory()[1] / x.nbytes, kept
        finally:
            tracemalloc.stop()

    assert peak(lambda: model(x))[0] < 2.1
    assert peak(lambda: model.forward(x, train=False))[0] > 7.9
