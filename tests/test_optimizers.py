"""Optimizers compared with torch.optim's algorithms, written for one number."""

import math

import numpy as np
import pytest
from conftest import assert_close

import fastgd as gd
from fastgd.optimizers import OPTIMIZERS

GRADIENTS = [0.5, -1.25, 2.0, 0.125]


def torch_sgd(p, lr, momentum, nesterov, weight_decay):
    """Follow the algorithm on torch.optim.SGD's page (dampening 0)."""
    buffer = None
    for g in GRADIENTS:
        g += weight_decay * p
        if momentum:
            buffer = g if buffer is None else momentum * buffer + g
            g = g + momentum * buffer if nesterov else buffer
        p -= lr * g
    return p


def torch_adam(p, lr, betas, eps, weight_decay, decoupled):
    """Follow the algorithms on the pages of torch.optim.Adam and AdamW."""
    m = v = 0.0
    for t, g in enumerate(GRADIENTS, start=1):
        if decoupled:
            p -= lr * weight_decay * p
        else:
            g += weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        m_hat, v_hat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
        p -= lr * m_hat / (math.sqrt(v_hat) + eps)
    return p


def torch_nadam(p, lr, betas, eps, weight_decay, momentum_decay, decoupled):
    """Follow the algorithm on torch.optim.NAdam's page."""
    m = v = 0.0
    product = 1.0
    for t, g in enumerate(GRADIENTS, start=1):
        if decoupled:
            p -= lr * weight_decay * p
        else:
            g += weight_decay * p
        mu, next_mu = (betas[0] * (1 - 0.96 ** (k * momentum_decay) / 2) for k in (t, t + 1))
        product *= mu
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        m_hat = next_mu * m / (1 - product * next_mu) + (1 - mu) * g / (1 - product)
        p -= lr * m_hat / (math.sqrt(v / (1 - betas[1] ** t)) + eps)
    return p


def torch_adagrad(p, lr, lr_decay, weight_decay, initial, eps):
    """Follow the algorithm on torch.optim.Adagrad's page."""
    total = initial
    for t, g in enumerate(GRADIENTS, start=1):
        g += weight_decay * p
        total += g * g
        p -= lr / (1 + (t - 1) * lr_decay) * g / (math.sqrt(total) + eps)
    return p


def torch_rmsprop(p, lr, alpha, eps, weight_decay, momentum, centered):
    """Follow the algorithm on torch.optim.RMSprop's page."""
    v = mean = buffer = 0.0
    for g in GRADIENTS:
        g += weight_decay * p
        v = alpha * v + (1 - alpha) * g * g
        mean = alpha * mean + (1 - alpha) * g
        g /= math.sqrt(v - centered * mean**2) + eps
        buffer = momentum * buffer + g
        p -= lr * buffer
    return p


def torch_asgd(p, lr, lambd, alpha, t0, weight_decay):
    """Follow torch.optim.ASGD's description; return the parameter and its average."""
    eta, mu, average = lr, 1.0, 0.0
    for t, g in enumerate(GRADIENTS, start=1):
        g += weight_decay * p
        p = p * (1 - lambd * eta) - eta * g
        average += mu * (p - average)
        eta = lr / (1 + lambd * lr * t) ** alpha
        mu = 1 / max(1, t - t0)
    return p, average


CASES = {
    "sgd": (gd.SGD(0.1), torch_sgd(2.0, 0.1, 0, False, 0)),
    "decay": (gd.SGD(0.1, weight_decay=0.3), torch_sgd(2.0, 0.1, 0, False, 0.3)),
    "momentum": (
        gd.SGD(0.1, momentum=0.9, weight_decay=0.3),
        torch_sgd(2.0, 0.1, 0.9, False, 0.3),
    ),
    "nesterov": (
        gd.SGD(0.1, momentum=0.9, nesterov=True),
        torch_sgd(2.0, 0.1, 0.9, True, 0),
    ),
    "adam": (gd.Adam(), torch_adam(2.0, 1e-3, (0.9, 0.999), 1e-8, 0, False)),
    "adam, all set": (
        gd.Adam(0.1, betas=(0.5, 0.75), eps=0.01, weight_decay=0.3),
        torch_adam(2.0, 0.1, (0.5, 0.75), 0.01, 0.3, False),
    ),
    "adamw": (gd.AdamW(), torch_adam(2.0, 1e-3, (0.9, 0.999), 1e-8, 0.01, True)),
    "adamw, all set": (
        gd.AdamW(0.1, betas=(0.5, 0.75), eps=0.01, weight_decay=0.3),
        torch_adam(2.0, 0.1, (0.5, 0.75), 0.01, 0.3, True),
    ),
    "nadam": (gd.Nadam(), torch_nadam(2.0, 2e-3, (0.9, 0.999), 1e-8, 0, 4e-3, False)),
    "nadam, all set": (
        gd.Nadam(0.1, betas=(0.5, 0.75), eps=0.01, weight_decay=0.3, momentum_decay=0.5),
        torch_nadam(2.0, 0.1, (0.5, 0.75), 0.01, 0.3, 0.5, False),
    ),
    "nadam, decoupled": (
        gd.Nadam(0.1, weight_decay=0.3, momentum_decay=1e5, decoupled_weight_decay=True),
        torch_nadam(2.0, 0.1, (0.9, 0.999), 1e-8, 0.3, 1e5, True),
    ),
    "adagrad": (gd.Adagrad(), torch_adagrad(2.0, 1e-2, 0, 0, 0, 1e-10)),
    "adagrad, all set": (
        gd.Adagrad(0.1, 0.2, weight_decay=0.3, initial_accumulator_value=0.5, eps=0.01),
        torch_adagrad(2.0, 0.1, 0.2, 0.3, 0.5, 0.01),
    ),
    "rmsprop": (gd.RMSprop(), torch_rmsprop(2.0, 1e-2, 0.99, 1e-8, 0, 0, False)),
    "rmsprop, momentum": (
        gd.RMSprop(0.1, 0.75, 0.01, 0.3, momentum=0.5),
        torch_rmsprop(2.0, 0.1, 0.75, 0.01, 0.3, 0.5, False),
    ),
    "rmsprop, centered": (
        gd.RMSprop(0.1, 0.75, 0.01, 0.3, centered=True),
        torch_rmsprop(2.0, 0.1, 0.75, 0.01, 0.3, 0, True),
    ),
    "rmsprop, all set": (
        gd.RMSprop(0.1, 0.75, 0.01, 0.3, 0.5, True),
        torch_rmsprop(2.0, 0.1, 0.75, 0.01, 0.3, 0.5, True),
    ),
    "asgd": (gd.ASGD(), torch_asgd(2.0, 1e-2, 1e-4, 0.75, 1e6, 0)[0]),
    "asgd, all set": (
        gd.ASGD(0.1, lambd=0.2, alpha=0.6, t0=1, weight_decay=0.3),
        torch_asgd(2.0, 0.1, 0.2, 0.6, 1, 0.3)[0],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_specification_equals_torch(case):
    optimizer, expected = CASES[case]
    params = np.array([2.0])
    state = optimizer.initial_state(params)
    for g in GRADIENTS:
        optimizer.update(params, np.array([g]), state, optimizer.learning_rate)
    assert state.step == len(GRADIENTS)
    assert_close(params, [expected], "float64", len(GRADIENTS))


def stepped(optimizer, backend):
    """Move a bias from 2 by the gradients, one training per step, as its gradient is 2 (z - y)."""
    net = gd.Network([1, 1], dtype="float64")
    net.biases[0][:] = 2.0
    history = None
    for g in GRADIENTS:
        y = net.biases[0] - g / 2
        options = {"optimizer": optimizer} if history is None else {"resume": history}
        history = gd.train(net, [[0.0]], y, batch_size=None, epochs=1, backend=backend, **options)
    return net, history


def assert_torchs_steps(case, backend):
    optimizer, expected = CASES[case]
    net, _ = stepped(optimizer, backend)
    assert_close(net.biases[0], [expected], "float64", 2 * len(GRADIENTS))
    assert net.weights[0][0, 0] == 0.0


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("backend", ["loop", "vectorized"])
def test_python_backends_equal_torch(case, backend):
    assert_torchs_steps(case, backend)


@pytest.mark.parametrize("case", CASES)
def test_kernels_of_every_level_equal_torch(case, isa):
    assert_torchs_steps(case, "compiled")


def test_an_optimizer_without_a_step_is_refused_when_created():
    class Lazy(gd.optimizers.Optimizer):
        hyperparameters = ()

    with pytest.raises(TypeError, match=r"abstract.*_move"):
        Lazy(0.1)


def test_asgd_averages(backend):
    optimizer = gd.ASGD(0.1, lambd=0.2, alpha=0.6, t0=1, weight_decay=0.3)
    net, history = stepped(optimizer, backend)
    average = torch_asgd(2.0, 0.1, 0.2, 0.6, 1, 0.3)[1]
    assert_close(history.averaged_params[1], average, "float64", 2 * len(GRADIENTS))
    assert history.averaged_params[1] != net.params[1]


def test_a_step_size_that_falls_below_every_number_is_zero(backend):
    """Decay so fast that its factor underflows leaves the first step alone."""
    fast, alpha = (stepped(gd.ASGD(0.1, alpha=alpha), backend)[0] for alpha in (1e12, 1e9))
    assert fast.params.tobytes() == alpha.params.tobytes()
    assert np.isfinite(fast.params).all()


def test_one_step_with_any_decay_is_possible():
    optimizer = gd.ASGD(0.1, alpha=1e300)
    params = np.array([2.0])
    state = optimizer.initial_state(params)
    optimizer.update(params, np.array([1.0]), state, 0.1)
    assert state.scalars[0] == 0


def test_other_optimizers_keep_no_average(small_run):
    history = gd.train(*small_run, epochs=1)
    with pytest.raises(ValueError, match=r"only fastgd\.ASGD averages the parameters"):
        history.averaged_params  # noqa: B018, a property


def test_averaging_starts_at_t0(backend):
    net = gd.Network([1, 1], dtype="float64", rng=0)
    X = np.random.default_rng(0).standard_normal((10, 1))
    history = gd.train(
        net, X, 2 * X, batch_size=1, epochs=1, optimizer=gd.ASGD(0.1, t0=6), record=("params",),
        rng=0, backend=backend,
    )  # fmt: skip
    assert_close(history.averaged_params, history.trace["params"][7:].mean(axis=0), "float64", 10)


def test_a_variance_that_rounding_makes_negative_is_zero(dtype, backend):
    """Equal gradients have no variance: torch's RMSprop gives nan after some hundred steps."""
    net = gd.Network([1, 1], loss="absolute_error", dtype=dtype)
    X, y = np.ones((1000, 1)), np.full(1000, 1e30)
    optimizer = gd.RMSprop(1e-6, alpha=0.5, eps=0.1, centered=True)
    gd.train(net, X, y, batch_size=1, epochs=1, optimizer=optimizer, rng=0, backend=backend)
    share = 0.5 ** np.arange(1, 1001)  # weight of the initial 0 in the running average
    steps = 1e-6 / (np.sqrt(share * (1 - share)) + 0.1)
    rounding = np.sqrt(1000 * np.finfo(dtype).eps)  # root of the variance's error
    np.testing.assert_allclose(net.params, steps.sum(), rtol=rounding)


@pytest.mark.parametrize("kind", [kind for kind in OPTIMIZERS.values() if hasattr(kind, "eps")])
@pytest.mark.parametrize("sizes", [[17, 1], [3, 5, 2]], ids=str)
def test_without_epsilon_parameters_without_gradient_do_not_move(sizes, kind, backend, dtype):
    net = gd.Network(sizes, dtype=dtype, rng=0)
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50, sizes[0])), rng.standard_normal((50, sizes[-1]))
    X[:, 1] = 0
    start, optimizer = net.weights[0].copy(), kind(0.01, eps=0.0)
    if hasattr(kind, "weight_decay"):
        optimizer = kind(0.01, eps=0.0, weight_decay=0)
    gd.train(net, X, y, batch_size=7, epochs=2, optimizer=optimizer, rng=0, backend=backend)
    assert np.isfinite(net.params).all()
    assert (net.weights[0][1] == start[1]).all()
    assert (net.weights[0][0] != start[0]).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gd.Nadam(betas=(0.9, 1.0)), r"betas\[1\] is 1.0"),
        (lambda: gd.Nadam(momentum_decay=-1), "momentum_decay is -1"),
        (lambda: gd.Adagrad(lr_decay=-1), "lr_decay is -1"),
        (lambda: gd.Adagrad(initial_accumulator_value=-1), "initial_accumulator_value is -1"),
        (lambda: gd.RMSprop(alpha=1), "alpha is 1"),
        (lambda: gd.RMSprop(momentum=-0.1), "momentum is -0.1"),
        (lambda: gd.ASGD(t0=-1), "t0 is -1"),
        (lambda: gd.ASGD(lambd=np.nan), "lambd is nan"),
        (lambda: gd.ASGD(0), "learning_rate is 0"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_momentum_begins_with_the_first_gradient():
    optimizer = gd.SGD(1.0, momentum=0.9)
    params = np.array([0.0])
    state = optimizer.initial_state(params)
    optimizer.update(params, np.array([1.0]), state, 1.0)
    assert (params[0], state.moments[0][0]) == (-1.0, 1.0)


def test_equal_settings_are_equal_optimizers():
    assert gd.Adam(0.1) == gd.Adam(0.1) != gd.AdamW(0.1)
    assert len({gd.SGD(0.1), gd.SGD(0.1), gd.SGD(0.2)}) == 2


@pytest.mark.parametrize(
    "optimizer",
    [
        gd.SGD(np.float32(0.5), momentum=np.float16(0.5), nesterov=np.True_),
        gd.SGD(np.int64(1), weight_decay=np.int8(0)),
        gd.Adam(betas=[np.float32(0.5), 0.75]),
        gd.Nadam(decoupled_weight_decay=np.False_),
        gd.RMSprop(centered=np.True_),
        gd.Adagrad(eps=np.float32(0.5)),
        gd.ASGD(t0=np.int32(3)),
    ],
)
def test_settings_of_numpys_types_are_kept_as_pythons(optimizer, tmp_path):
    X = np.ones((4, 1))
    net = gd.Network([1, 1])
    history = gd.train(net, X, X, batch_size=2, epochs=1, optimizer=optimizer)
    gd.save_checkpoint(tmp_path / "run.npz", net, history)
    assert gd.load_checkpoint(tmp_path / "run.npz")[1].optimizer == optimizer
    assert {type(value) for value in vars(optimizer).values()} <= {float, bool, tuple}
