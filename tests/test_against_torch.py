"""The same 300 steps as PyTorch: every optimizer, schedule and loss, in float64.

Optimizers act on each number by itself, so one run of torch trains a network for every loss at
the same time, all of them on one vector of parameters.
"""

import numpy as np
import pytest
from conftest import make_data
from test_schedules import CASES, LOSSES_SEEN, PLATEAUS, TIMES, plateau_rates

import fastgd as gd
from fastgd import schedules as s
from fastgd.optimizers import OPTIMIZERS as EVERY_OPTIMIZER
from fastgd.schedules import SCHEDULES as EVERY_SCHEDULE

torch = pytest.importorskip("torch", reason="it needs PyTorch: pip install 'fastgd[torch]'")
functional = torch.nn.functional
torch_schedules = torch.optim.lr_scheduler

N, BATCH, EPOCHS = 24, 8, 100
STEPS = EPOCHS * N // BATCH

# each optimizer with the name of torch's, which has the same arguments
OPTIMIZERS = {
    "sgd": (gd.SGD(0.05, weight_decay=0.01), "SGD"),
    "momentum": (gd.SGD(0.01, momentum=0.9, weight_decay=0.01), "SGD"),
    "nesterov": (gd.SGD(0.01, momentum=0.9, nesterov=True), "SGD"),
    "adam": (gd.Adam(0.01), "Adam"),
    "adam, decay": (gd.Adam(0.01, (0.8, 0.95), eps=1e-6, weight_decay=0.01), "Adam"),
    "adamw": (gd.AdamW(0.01), "AdamW"),
    "nadam": (gd.Nadam(0.01, weight_decay=0.01), "NAdam"),
    "nadam, decoupled": (
        gd.Nadam(0.01, momentum_decay=0.1, weight_decay=0.01, decoupled_weight_decay=True),
        "NAdam",
    ),
    "adagrad": (gd.Adagrad(0.05), "Adagrad"),
    "adagrad, decay": (
        gd.Adagrad(0.05, lr_decay=0.01, weight_decay=0.01, initial_accumulator_value=0.1),
        "Adagrad",
    ),
    "rmsprop": (gd.RMSprop(0.01), "RMSprop"),
    "rmsprop, momentum": (gd.RMSprop(0.002, momentum=0.8, weight_decay=0.01), "RMSprop"),
    "rmsprop, centered": (gd.RMSprop(0.005, centered=True), "RMSprop"),
    "rmsprop, all": (gd.RMSprop(0.002, 0.9, momentum=0.5, centered=True), "RMSprop"),
    "asgd": (gd.ASGD(0.05), "ASGD"),
    "asgd, averaging": (gd.ASGD(0.05, lambd=0.01, alpha=0.6, t0=50, weight_decay=0.01), "ASGD"),
}

# each schedule, and torch's own for an optimizer
SCHEDULES = {
    "constant": (s.Constant(), lambda o: torch_schedules.LambdaLR(o, lambda t: 1)),
    "step": (s.Step(30, 0.3), lambda o: torch_schedules.StepLR(o, 30, 0.3)),
    "multi-step": (
        s.MultiStep([40, 120, 250], 0.4, unit="update"),
        lambda o: torch_schedules.MultiStepLR(o, [40, 120, 250], 0.4),
    ),
    "exponential": (s.Exponential(0.98), lambda o: torch_schedules.ExponentialLR(o, 0.98)),
    "inverse scaling": (
        s.InverseScaling(0.25),
        lambda o: torch_schedules.LambdaLR(o, lambda t: (t + 1) ** -0.25),
    ),
    "cosine": (
        s.Cosine(EPOCHS, 0.001),
        lambda o: torch_schedules.CosineAnnealingLR(o, EPOCHS, 0.001),
    ),
    "cosine, restarts": (
        s.CosineRestarts(20, 2, unit="update"),
        lambda o: torch_schedules.CosineAnnealingWarmRestarts(o, 20, 2),
    ),
    "one cycle": (
        s.OneCycle(STEPS),
        lambda o: torch_schedules.OneCycleLR(
            o, o.param_groups[0]["lr"], STEPS, cycle_momentum=False
        ),
    ),
    "warm-up": (
        s.WarmUp(50, s.Cosine(STEPS - 50, unit="update"), start_factor=0.1),
        lambda o: torch_schedules.SequentialLR(
            o,
            [
                torch_schedules.LinearLR(o, 0.1, total_iters=50),
                torch_schedules.CosineAnnealingLR(o, STEPS - 50),
            ],
            milestones=[50],
        ),
    ),
    "on plateau": (
        s.OnPlateau(0.5, patience=2, threshold=0.01, cooldown=1),
        lambda o: torch_schedules.ReduceLROnPlateau(
            o, factor=0.5, patience=2, threshold=0.01, cooldown=1
        ),
    ),
    "function": (
        s.Function(lambda t: 1 / (1 + t)),
        lambda o: torch_schedules.LambdaLR(o, lambda t: 1 / (1 + t)),
    ),
}

# each loss in torch, as the mean over a batch, with the network's outputs
LOSSES = {
    "squared_error": (2, functional.mse_loss),
    "absolute_error": (1, functional.l1_loss),
    "huber": (1, functional.huber_loss),
    "log_loss": (1, functional.binary_cross_entropy_with_logits),
    "cross_entropy": (3, functional.cross_entropy),
    "hinge": (1, lambda z, y: functional.relu(1 - y * z).mean()),
    "squared_hinge": (1, lambda z, y: (functional.relu(1 - y * z) ** 2).mean()),
    "poisson": (1, functional.poisson_nll_loss),
}


@pytest.fixture(autouse=True)
def double():
    """Compute in float64: ASGD and NAdam keep their scalars in torch's default dtype."""
    threads = torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(threads)


def problem(loss):
    """Return a network for a loss, and samples."""
    outputs = LOSSES[loss][0]
    net = gd.Network([3, 4, outputs], hidden="tanh", loss=loss, dtype="float64", rng=1)
    return net, *make_data(net.sizes, loss, N)


def in_torch(net, X, y):
    """Return the loss of a batch as a function of the network's flat parameters."""
    a, b, c = net.sizes
    X, y = torch.tensor(X), torch.tensor(y)
    function = LOSSES[net.loss][1]

    def loss(params, batch):
        w1, b1, w2, b2 = torch.split(params, [a * b, b, b * c, c])
        z = torch.tanh(X[batch] @ w1.view(a, b) + b1) @ w2.view(b, c) + b2
        return function(z, y[batch])

    return loss


def trained_by_torch(problems, optimizer, schedule):
    """Train all the networks as one; return the parameters, and ASGD's averages of them."""
    (own, kind), (own_schedule, make_schedule) = OPTIMIZERS[optimizer], SCHEDULES[schedule]
    losses = [in_torch(*each) for each in problems]
    lengths = [net.n_params for net, _, _ in problems]
    params = torch.tensor(np.concatenate([net.params for net, _, _ in problems]))
    params.requires_grad_()
    arguments = vars(own).copy()
    mover = getattr(torch.optim, kind)([params], lr=arguments.pop("learning_rate"), **arguments)
    scheduler = make_schedule(mover)
    for _ in range(EPOCHS):
        seen = 0.0
        for start in range(0, N, BATCH):
            mover.zero_grad()
            batch = slice(start, start + BATCH)
            parts = zip(losses, torch.split(params, lengths), strict=True)
            value = sum(loss(part, batch) for loss, part in parts)
            value.backward()
            seen += value.item() * BATCH / N
            mover.step()
            if own_schedule.unit == "update":
                scheduler.step()
        if own_schedule.watches_loss:
            scheduler.step(seen)
        elif own_schedule.unit == "epoch":
            scheduler.step()
    average = mover.state[params].get("ax", params)
    return [
        [part.detach().numpy() for part in torch.split(flat, lengths)] for flat in (params, average)
    ]


def compare(optimizer, schedule, losses=tuple(LOSSES)):
    """Compare the parameters of a network for each loss after all steps."""
    own, own_schedule = OPTIMIZERS[optimizer][0], SCHEDULES[schedule][0]
    problems = [problem(loss) for loss in losses]
    expected, averages = trained_by_torch(problems, optimizer, schedule)
    for (net, X, y), params, average in zip(problems, expected, averages, strict=True):
        start = net.params.copy()
        history = gd.train(
            net, X, y, batch_size=BATCH, epochs=EPOCHS, optimizer=own, schedule=own_schedule,
            sampling="sequential",
        )  # fmt: skip
        assert history.updates == STEPS
        np.testing.assert_allclose(net.params, params, rtol=0, atol=1e-10, err_msg=net.loss)
        if isinstance(own, gd.ASGD):
            np.testing.assert_allclose(history.averaged_params, average, rtol=0, atol=1e-10)
        assert np.abs(net.params - start).max() > 1e-2


@pytest.mark.parametrize(
    ("every", "cases", "claim"),
    [
        ([*EVERY_OPTIMIZER.values()], OPTIMIZERS, "torch.optim."),
        ([*EVERY_SCHEDULE.values(), s.Function], SCHEDULES, "torch's"),
    ],
    ids=["optimizers", "schedules"],
)
def test_everything_documented_as_torchs_is_compared(every, cases, claim):
    claimed = {kind for kind in every if claim in kind.__doc__}
    assert len(claimed) >= 7
    assert claimed <= {type(own) for own, _ in cases.values()}


# a plateau is one network's own, the other schedules serve all of them at the same time
TOGETHER = [name for name in SCHEDULES if name != "on plateau"]


@pytest.mark.parametrize(
    ("optimizer", "schedule"), list(zip(OPTIMIZERS, TOGETHER * 2, strict=False))
)
def test_300_steps_equal_torchs(optimizer, schedule):
    compare(optimizer, schedule)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", TOGETHER)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_all_layer_products_equal_torchs(optimizer, schedule):
    """Two losses at a time, in turn, so that all meet each optimizer and each schedule."""
    first = 2 * (list(OPTIMIZERS).index(optimizer) + TOGETHER.index(schedule))
    compare(optimizer, schedule, [list(LOSSES)[(first + k) % len(LOSSES)] for k in range(2)])


@pytest.mark.parametrize(
    "loss",
    [
        name if name == "cross_entropy" else pytest.param(name, marks=pytest.mark.slow)
        for name in LOSSES
    ],
)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_300_steps_with_plateaus_equal_torchs(optimizer, loss):
    compare(optimizer, "on plateau", [loss])


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case][2]])
def test_rates_equal_torchs(case):
    schedule, _, make = CASES[case]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.3)
    scheduler = make(torch_schedules, optimizer)
    expected = []
    for t in range(TIMES):
        expected.append(optimizer.param_groups[0]["lr"])
        if t < TIMES - 1:
            optimizer.step()
            scheduler.step()
    # torch multiplies from time to time: the rounding of 1 + cos adds up where it is near 0
    np.testing.assert_allclose(schedule.rates(0.3, 0, TIMES), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("options", PLATEAUS.values(), ids=list(PLATEAUS))
def test_plateaus_equal_torchs(options):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.3)
    names = {"min_lr" if name == "minimum" else name: value for name, value in options.items()}
    scheduler = torch_schedules.ReduceLROnPlateau(optimizer, **names)
    expected = []
    for loss in LOSSES_SEEN:
        expected.append(optimizer.param_groups[0]["lr"])
        scheduler.step(loss)
    rates = plateau_rates(s.OnPlateau(**options))
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    assert rates[0] > rates[-1]
