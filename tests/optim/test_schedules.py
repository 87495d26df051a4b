"""Learning-rate schedules: by hand, and against PyTorch where it is installed."""

import math

import numpy as np
import pytest

from npdsconv import optim

HALF = math.sqrt(0.5)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (optim.constant(), [1, 1, 1]),
        (optim.step_decay(2, 0.5), [1, 1, 0.5, 0.5, 0.25]),
        (optim.step_decay(3), [1, 1, 1, 0.1, 0.1, 0.1, 0.01]),
        (optim.exponential(0.5), [1, 0.5, 0.25, 0.125]),
        (optim.exponential(0.25, every=4), [1, HALF, 0.5, HALF / 2, 0.25]),
        (optim.cosine(4), [1, (1 + HALF) / 2, 0.5, (1 - HALF) / 2, 0, 0, 0]),
        (optim.cosine(2, final=0.2), [1, 0.6, 0.2, 0.2]),
        (optim.cosine_restarts(2), [1, 0.5, 1, 0.5, 1]),
        (optim.cosine_restarts(1, growth=2, final=0.5), [1, 1, 0.75, 1, *([0.5 + 0.25 * (1 + HALF)]), 0.75]),
        # peak at step 0.5 * 6 - 1 = 2, end at step 5
        (optim.one_cycle(6, warm=0.5, start=0.2, final=0.1), [0.2, 0.6, 1, 0.775, 0.325, 0.1, 0.1]),
        (optim.one_cycle(3, warm=0, final=0.5), [1, 0.75, 0.5]),
        (optim.warm_up(optim.constant(), 4), [0.25, 0.5, 0.75, 1, 1]),
        (optim.warm_up(optim.step_decay(2, 0.5), 4), [0.25, 0.5, 0.375, 0.5, 0.25]),
    ],
)
def test_schedules_by_hand(schedule, expected):
    actual = [schedule(step) for step in range(len(expected))]
    assert all(type(factor) is float for factor in actual)
    np.testing.assert_allclose(actual, expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(
    ("schedule", "theirs"),
    [
        (optim.step_decay(4, 0.3), lambda s, o: s.StepLR(o, step_size=4, gamma=0.3)),
        (optim.exponential(0.8), lambda s, o: s.ExponentialLR(o, gamma=0.8)),
        (optim.cosine(20, final=0.1), lambda s, o: s.CosineAnnealingLR(o, T_max=20, eta_min=0.1)),
        (
            optim.cosine_restarts(3, growth=2, final=0.1),
            lambda s, o: s.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2, eta_min=0.1),
        ),
        (optim.cosine_restarts(7), lambda s, o: s.CosineAnnealingWarmRestarts(o, T_0=7)),
        (
            optim.one_cycle(20, warm=0.3, start=1 / 25, final=1 / 25e4),
            lambda s, o: s.OneCycleLR(o, max_lr=1.0, total_steps=20, cycle_momentum=False),
        ),
        (
            optim.one_cycle(20, warm=0.55, start=0.1, final=0.01),
            lambda s, o: s.OneCycleLR(
                o,
                1.0,
                total_steps=20,
                pct_start=0.55,
                div_factor=10,
                final_div_factor=10,
                cycle_momentum=False,
            ),
        ),
        (
            optim.warm_up(optim.exponential(0.9), 5),
            lambda s, o: s.ChainedScheduler(
                [s.LinearLR(o, start_factor=1 / 5, total_iters=4), s.ExponentialLR(o, gamma=0.9)], optimizer=o
            ),
        ),
    ],
)
def test_schedules_equal_pytorch(schedule, theirs):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = theirs(torch.optim.lr_scheduler, optimizer)
    expected = []
    for _ in range(19):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    expected.append(optimizer.param_groups[0]["lr"])
    np.testing.assert_allclose([schedule(step) for step in range(20)], expected, rtol=1e-12, atol=1e-14)


def test_a_restart_far_out_is_found_quickly():
    assert optim.cosine_restarts(10)(10**12 + 5) == pytest.approx(0.5)
    assert optim.cosine_restarts(1, growth=2)(2**40 - 1) == 1.0  # 1 + 2 + 4 + ... + 2**39


@pytest.mark.parametrize(
    ("make_schedule", "message"),
    [
        (lambda: optim.step_decay(0), r"step_decay: every 0 must be >= 1"),
        (lambda: optim.step_decay(2, gamma=0), r"step_decay: gamma 0 must be > 0"),
        (lambda: optim.exponential(-0.5), r"exponential: gamma -0\.5 must be > 0"),
        (lambda: optim.exponential(0.5, every=0), r"exponential: every 0 must be >= 1"),
        (lambda: optim.cosine(0), r"cosine: total 0 must be >= 1"),
        (lambda: optim.cosine(5, final=-1), r"cosine: final -1 must be >= 0"),
        (lambda: optim.cosine_restarts(0), r"cosine_restarts: period 0 must be >= 1"),
        (lambda: optim.cosine_restarts(3, growth=0), r"cosine_restarts: growth 0 must be >= 1"),
        (lambda: optim.one_cycle(1), r"one_cycle: total 1 must be >= 2"),
        (lambda: optim.one_cycle(9, warm=1.0), r"one_cycle: warm 1\.0 must be in \[0, 1\)"),
        (lambda: optim.one_cycle(9, start=-1), r"one_cycle: start -1 must be >= 0"),
        (lambda: optim.one_cycle(9, final=math.inf), r"one_cycle: final inf must be >= 0 and finite"),
        (lambda: optim.warm_up(optim.constant(), 0), r"warm_up: steps 0 must be >= 1"),
    ],
)
def test_schedule_arguments_out_of_range(make_schedule, message):
    with pytest.raises(ValueError, match=message):
        make_schedule()
