from collections.abc import Sequence
from typing import Any

import numpy as np

from fastgd._typing import AnyArray, FloatArray, IndexArray

LEVEL: str

def levels() -> list[str]: ...
def choose_level(wanted: str) -> str: ...
def max_threads() -> int: ...
def config() -> dict[str, Any]: ...
def math(name: str, x: FloatArray, out: FloatArray, level: str = ...) -> FloatArray: ...
def all_finite(x: FloatArray, level: str = ...) -> bool: ...

class Engine:
    steps: int
    loss: float
    def __init__(
        self,
        sizes: Sequence[int],
        hidden: Sequence[str],
        loss: str | None,
        optimizer: str | None,
        hyperparameters: Sequence[float],
        dtype: np.dtype[Any],
        n_threads: int,
        level: str,
        all_threads: bool = False,
    ) -> None: ...
    def set_data(
        self, X: FloatArray, y: AnyArray | None = None, sample_weight: FloatArray | None = None
    ) -> None: ...
    def load(self, params: FloatArray, moments: Sequence[FloatArray] = ()) -> None: ...
    def load_scalars(self, scalars: FloatArray) -> None: ...
    def store(self, params: FloatArray) -> None: ...
    def store_moments(self, moments: Sequence[FloatArray]) -> None: ...
    def store_scalars(self, scalars: FloatArray) -> None: ...
    def epoch(
        self,
        order: IndexArray | None,
        batch_size: int,
        reduction: str,
        drop_last: bool = False,
        learning_rate: float = 0,
        step: int = 0,
        trace_loss: FloatArray | None = None,
        trace_params: FloatArray | None = None,
    ) -> float: ...
    def gradient(
        self, out: FloatArray, reduction: str, order: IndexArray | None = None
    ) -> FloatArray: ...
    def outputs(self, out: FloatArray) -> FloatArray: ...
