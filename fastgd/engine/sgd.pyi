from collections.abc import Callable
from typing import Any

from fastgd._typing import AnyArray, FloatArray, IndexArray

def padded(n: int) -> int: ...
def shuffle(order: IndexArray, seed: int) -> None: ...
def margin_losses(
    loss: str, parameter: float, y: FloatArray, p: FloatArray, level: str = ...
) -> tuple[FloatArray, FloatArray]: ...

class Stepper:
    intercept: float
    average_intercept: float
    t: float
    norm: float
    def __init__(
        self,
        X: FloatArray | tuple[Any, ...],
        y: AnyArray,
        sample_weight: AnyArray | None,
        weights: AnyArray,
        average: AnyArray | None,
        paid: AnyArray | None,
        *,
        loss: str,
        parameter: float,
        l1: float,
        l2: float,
        rule: str,
        intercept_rate: float,
        average_from: float,
        batch_size: int,
        intercepts: AnyArray | None = ...,
        average_intercepts: AnyArray | None = ...,
        n_outputs: int = ...,
        level: str = ...,
    ) -> None: ...
    def numbers(self) -> tuple[float, ...]: ...
    def set_numbers(
        self,
        intercept: float,
        average_intercept: float,
        average_a: float,
        average_b: float,
        owed: float,
        squares: float,
        sizes: float,
        t: float,
    ) -> None: ...
    def epoch(
        self, order: IndexArray, rates: FloatArray, stop: Callable[[], bool] | None = None
    ) -> tuple[float, float, bool]: ...
