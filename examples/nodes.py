"""Backpropagation node by node: two samples by hand, then a thousand.

The cost of a line is mean((y - (theta1 * x + theta0))^2). The trace shows each node's value and
the gradient that it passes back. With two samples, each loss enters the cost with weight one half
and gets back one half. The minus node changes the sign, the plus node passes the gradient on
unchanged, the multiply node multiplies by x, and the square node by 2z.

Run it: `python examples/nodes.py`
"""

from __future__ import annotations

import numpy as np

import fastgd as gd


def main() -> None:
    """Print the traces, the Jacobians, and the compiled engine's gradient."""
    print("Two samples, x = 1, 2 and y = 1, 3, at theta1 = theta0 = 1\n")
    graph = gd.nodes.linear_cost(theta1=1, theta0=1)
    print(graph.trace(x=[1, 2], y=[1, 3]))

    print("\nThe same as a product of the nodes' Jacobians:")
    nodes = graph.nodes
    chain = {
        "cost by loss": nodes["cost"].jacobian(),
        "loss by error": nodes["loss"].jacobian(),
        "error by prediction": nodes["error"].jacobian()[1],
        "prediction by product": nodes["prediction"].jacobian()[0],
        "product by theta1": nodes["product"].jacobian()[0],
    }
    product = np.eye(1)
    for name, matrix in chain.items():
        print(f"  {name:<22} {matrix.shape[0]} x {matrix.shape[1]}  {matrix.tolist()}")
        product = product @ matrix
    print(f"  {'cost by theta1':<22} 1 x 1  {product.tolist()}")

    print("\nA thousand samples of y = 3 x + 1 and noise, at theta1 = theta0 = 0\n")
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, 1000)
    y = 3 * x + 1 + 0.1 * rng.standard_normal(1000)
    graph = gd.nodes.linear_cost()
    print(graph.trace(x, y))

    by_nodes = graph.gradient(x, y)
    compiled = gd.gradient(gd.Network([1, 1], dtype="float64"), x.reshape(-1, 1), y)
    print(f"\nThe compiled engine's gradient: theta1 {compiled[0]:.4g}, theta0 {compiled[1]:.4g};")
    print(f"it differs from the nodes' by at most {np.abs(by_nodes - compiled).max():.1e}.")


if __name__ == "__main__":
    main()
