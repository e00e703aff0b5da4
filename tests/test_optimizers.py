"""Optimizers against torch.optim's algorithms, written out for one number."""

import math

import numpy as np
import pytest

import fastgd as gd

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
}


@pytest.mark.parametrize("case", CASES)
def test_the_specification_is_torchs_algorithm(case):
    optimizer, expected = CASES[case]
    params = np.array([2.0])
    state = optimizer.initial_state(params)
    for step, g in enumerate(GRADIENTS, start=1):
        optimizer.update(params, np.array([g]), state.moments, step, optimizer.learning_rate)
    assert params[0] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("case", CASES)
def test_the_kernel_is_torchs_algorithm(case, isa, backend):
    optimizer, expected = CASES[case]
    net = gd.Network([1, 1], dtype="float64")
    net.biases[0][:] = 2.0
    history = None
    for g in GRADIENTS:
        # the bias alone moves, and its gradient is 2 (z - y)
        y = net.biases[0] - g / 2
        options = {"optimizer": optimizer} if history is None else {"resume": history}
        history = gd.train(net, [[0.0]], y, batch_size=None, epochs=1, backend=backend, **options)
    assert net.biases[0][0] == pytest.approx(expected, rel=1e-12)
    assert net.weights[0][0, 0] == 0.0


def test_momentum_begins_with_the_first_gradient():
    optimizer = gd.SGD(1.0, momentum=0.9)
    params = np.array([0.0])
    state = optimizer.initial_state(params)
    optimizer.update(params, np.array([1.0]), state.moments, 1, 1.0)
    assert (params[0], state.moments[0][0]) == (-1.0, 1.0)


def test_equal_settings_are_equal_optimizers():
    assert gd.Adam(0.1) == gd.Adam(0.1) != gd.AdamW(0.1)
    assert len({gd.SGD(0.1), gd.SGD(0.1), gd.SGD(0.2)}) == 2
