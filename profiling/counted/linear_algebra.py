"""Multiply-adds of the dense factorisations and solves of `torch.linalg`, from shapes alone.

The counts are those of the textbook algorithms: Gaussian elimination, Cholesky, substitution, Householder
reflections (Golub and Van Loan, Matrix Computations; LAPACK Working Note 41, appendix C). Divisions, square
roots and scalings are no multiply-adds. Eigenvalues, singular values, least squares and matrix exponentials
have no formula: how many steps they take depends on the values or on the algorithm that is chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

Formula = Callable[[Any, dict[str, Any]], int]
"""Multiply-adds of an operator, from its result and its arguments by name."""


def _batch(matrix: Tensor) -> int:
    return matrix.shape[:-2].numel()


def _lu(rows: int, columns: int) -> int:
    """Gaussian elimination, column k in (rows - k)(columns - k): 2n³/3 FLOPs to leading order if square."""
    return sum((rows - k) * (columns - k) for k in range(1, min(rows, columns) + 1))


def _cholesky(n: int) -> int:
    """Half of the elimination: n³/3 FLOPs to leading order."""
    return (n**3 - n) // 6


def _reflected(rows: int, columns: int, reflections: int) -> int:
    """Reflection k meets rows - k + 1 by columns - k numbers, twice: once for wᵀ = vᵀA, once for A - v wᵀ."""
    return 2 * sum((rows - k + 1) * (columns - k) for k in range(1, reflections + 1))


def _householder(rows: int, columns: int) -> int:
    """R and the reflections, norms included: 2 rows columns² - 2/3 columns³ FLOPs to leading order."""
    reflections = min(rows, columns)
    return _reflected(rows, columns, reflections) + sum(rows - k for k in range(1, reflections + 1))


def _of_matrix(name: str, count: Callable[[int, int], int]) -> Formula:
    def macs(result: Any, arguments: dict[str, Any]) -> int:
        matrix = arguments[name]
        return _batch(matrix) * count(*matrix.shape[-2:])

    return macs


def _substitutions(name: str, times: int) -> Formula:
    """Forward or backward substitution: a right-hand side of n numbers takes n(n - 1)/2."""

    def macs(result: Any, arguments: dict[str, Any]) -> int:
        solution = result[0] if isinstance(result, tuple) else result
        return times * solution.numel() * (arguments[name].shape[-1] - 1) // 2

    return macs


def _solve(result: Any, arguments: dict[str, Any]) -> int:
    matrix = arguments["A"]
    return _of_matrix("A", _lu)(result, arguments) + result[0].numel() * (matrix.shape[-1] - 1)


def _qr(result: Any, arguments: dict[str, Any]) -> int:
    matrix, mode = arguments["A"], arguments.get("mode", "reduced")
    rows, columns = matrix.shape[-2:]
    reflections = min(rows, columns)
    wide = {"r": 0, "reduced": reflections, "complete": rows}[mode]  # columns of Q
    q = _reflected(rows, wide, min(reflections, wide))
    return _batch(matrix) * (_householder(rows, columns) + q)


def _householder_product(result: Any, arguments: dict[str, Any]) -> int:
    matrix, scales = arguments["input"], arguments["tau"]
    rows, columns = matrix.shape[-2:]
    return _batch(matrix) * _reflected(rows, columns, scales.shape[-1])


def _reflect(result: Any, arguments: dict[str, Any]) -> int:
    """All columns, or rows, of a matrix by each reflection."""
    other, reflections = arguments["input3"], arguments["input2"].shape[-1]
    length, lines = other.shape[-2:] if arguments.get("left", True) else other.shape[:-3:-1]
    return _batch(other) * 2 * lines * sum(length - k + 1 for k in range(1, reflections + 1))


FORMULAS: dict[str, Formula] = {
    "linalg_solve_triangular": _substitutions("self", 1),
    "triangular_solve": _substitutions("A", 1),
    **dict.fromkeys(
        ("linalg_cholesky_ex", "linalg_ldl_factor_ex"), _of_matrix("self", lambda n, _: _cholesky(n))
    ),
    "_cholesky_solve_helper": _substitutions("A", 2),
    "linalg_ldl_solve": _substitutions("LD", 2),
    "cholesky_inverse": _of_matrix("self", _lu),  # n³/3 - n²/2 + n/6 as well
    **dict.fromkeys(
        ("linalg_lu_factor_ex", "linalg_lu", "_linalg_det", "_linalg_slogdet"), _of_matrix("A", _lu)
    ),
    "linalg_lu_solve": _substitutions("LU", 2),
    "_linalg_solve_ex": _solve,
    # 2n³ FLOPs: the elimination, then U⁻¹ and what L makes of it.
    "linalg_inv_ex": _of_matrix("A", lambda n, _: n * (n - 1) ** 2),
    "linalg_qr": _qr,
    "geqrf": _of_matrix("self", _householder),
    "linalg_householder_product": _householder_product,
    "ormqr": _reflect,
}
"""Multiply-adds of the operators of dense linear algebra that end after a known number of steps."""
