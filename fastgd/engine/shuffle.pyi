import numpy as np
from numpy.typing import DTypeLike

from fastgd._typing import IndexArray

DEAL_FROM: int

def index_dtype(n: int) -> DTypeLike: ...
def permutation(n: int, rng: np.random.Generator, deal_from: int | None = None) -> IndexArray: ...
def draws(n: int, bound: int, rng: np.random.Generator) -> IndexArray: ...
