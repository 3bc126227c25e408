"""Factorisations and solves: the count is that of a textbook algorithm, run and compared with torch."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from data.files.errors import ToolkitError
from profiling.counted.residuals import UNEXPLAINED, Counted
from profiling.profile import profile_model

N, LINES = 6, 3


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


def counted(function: Callable[..., Any], *inputs: Tensor) -> Counted:
    return profile_model(Call(function), inputs).counted[0]


def macs(function: Callable[..., Any], *inputs: Tensor) -> int:
    one = counted(function, *inputs)
    assert list(one.problems()) == []
    assert UNEXPLAINED not in [residual.cause for residual in one.residuals()]
    return one.corrected.count // 2


class Textbook:
    """Algorithms number by number, which count their multiply-adds."""

    def __init__(self) -> None:
        self.macs = 0

    def less(self, a: Tensor, at: tuple[int, int], x: Tensor, y: Tensor) -> None:
        self.macs += 1
        a[at] -= x * y

    def eliminate(self, a: Tensor) -> Tensor:
        """L below the diagonal and U on and above it; no pivots, which cost nothing."""
        a = a.clone()
        rows, columns = a.shape
        for k in range(min(rows, columns)):
            for i in range(k + 1, rows):
                a[i, k] /= a[k, k]
                for j in range(k + 1, columns):
                    self.less(a, (i, j), a[i, k], a[k, j])
        return a

    def cholesky(self, a: Tensor) -> Tensor:
        a = a.clone()
        for j in range(len(a)):
            for i in range(j, len(a)):
                for k in range(j):
                    self.less(a, (i, j), a[i, k], a[j, k])
                a[i, j] = a[j, j].sqrt() if i == j else a[i, j] / a[j, j]
        return a.tril()

    def substitute(self, lower: Tensor, b: Tensor) -> Tensor:
        b = b.clone()
        for column in range(b.shape[1]):
            for i in range(len(b)):
                for k in range(i):
                    self.less(b, (i, column), lower[i, k], b[k, column])
                b[i, column] /= lower[i, i]
        return b

    def reflect(self, v: Tensor, a: Tensor, k: int, first: int) -> None:
        """A - 2 v vᵀA / vᵀv of the rows from k on, in the columns from `first` on."""
        for j in range(first, a.shape[1]):
            w = a.new_zeros(())
            for i in range(k, len(a)):
                self.macs += 1
                w += v[i] * a[i, j]
            for i in range(k, len(a)):
                self.less(a, (i, j), 2 * v[i] / (v @ v), w)

    def householder(self, a: Tensor) -> tuple[list[Tensor], Tensor]:
        a, reflections = a.clone(), []
        for k in range(min(a.shape)):
            v = a[:, k].clone()
            v[:k] = 0
            self.macs += len(a) - k - 1  # the norm, of what lies below
            norm = v.norm().copysign(a[k, k])
            v[k] += norm
            reflections.append(v)
            self.reflect(v, a, k, k + 1)
            a[k, k], a[k + 1 :, k] = -norm, 0
        return reflections, a

    def orthogonal(self, reflections: list[Tensor], columns: int) -> Tensor:
        q = torch.eye(len(reflections[0]), columns, dtype=torch.double)
        for k, v in reversed(list(enumerate(reflections))):
            self.reflect(v, q, k, k + 1)
            q[k:, k] -= 2 * v[k] / (v @ v) * v[k:]  # a scaled unit vector: no sums
        return q


def square() -> Tensor:
    x = torch.rand(N, N, dtype=torch.double, generator=torch.Generator().manual_seed(1))
    return x @ x.T + torch.eye(N)


def sides() -> Tensor:
    return torch.rand(N, LINES, dtype=torch.double, generator=torch.Generator().manual_seed(2))


@pytest.mark.filterwarnings("ignore:torch.triangular_solve is deprecated")
def test_substitution() -> None:
    book, a, b = Textbook(), square().tril(), sides()
    torch.testing.assert_close(book.substitute(a, b), torch.linalg.solve_triangular(a, b, upper=False))
    assert book.macs == LINES * N * (N - 1) // 2
    for function in (
        lambda a, b: torch.linalg.solve_triangular(a, b, upper=False),
        lambda a, b: torch.linalg.solve_triangular(a.mT, b.mT, upper=True, left=False),
        lambda a, b: torch.linalg.solve_triangular(a, b, upper=False, unitriangular=True),
        lambda a, b: torch.triangular_solve(b, a, upper=False)[0],
    ):
        assert macs(function, a, b) == book.macs
    assert macs(lambda a, b: torch.linalg.solve_triangular(a, b, upper=False), a.expand(2, 5, N, N), b) == (
        10 * book.macs
    )


def test_cholesky() -> None:
    book, a, b = Textbook(), square(), sides()
    torch.testing.assert_close(book.cholesky(a), torch.linalg.cholesky(a))
    assert macs(torch.linalg.cholesky, a) == book.macs == (N**3 - N) // 6
    assert macs(torch.linalg.ldl_factor, a) == book.macs
    assert macs(torch.cholesky_solve, b, a.tril()) == 2 * LINES * N * (N - 1) // 2


@pytest.mark.parametrize("shape", [(N, N), (N, 4), (4, N)])
def test_elimination(shape: tuple[int, int]) -> None:
    book, a = Textbook(), square()[: shape[0], : shape[1]]
    torch.testing.assert_close(_product(book.eliminate(a)), a)
    for function in (torch.linalg.lu_factor, torch.linalg.lu):
        assert macs(function, a) == book.macs
    if shape == (N, N):
        for function in (torch.linalg.det, torch.linalg.slogdet, torch.logdet):
            assert macs(function, a) == book.macs


def _product(lu: Tensor) -> Tensor:
    rank = min(lu.shape)
    lower = lu.tril(-1)[:, :rank] + torch.eye(len(lu), rank, dtype=lu.dtype)
    return lower @ lu.triu()[:rank]


@pytest.mark.filterwarnings("ignore:torch.lu_solve is deprecated")
def test_solves_are_an_elimination_and_two_substitutions() -> None:
    book, a, b = Textbook(), square(), sides()
    lu = book.eliminate(a)
    lower, upper = lu.tril(-1) + torch.eye(N, dtype=lu.dtype), lu.triu()
    half = book.substitute(lower, b)
    solution = book.substitute(upper.flip(0, 1), half.flip(0)).flip(0)
    torch.testing.assert_close(solution, torch.linalg.solve(a, b))
    for function in (
        torch.linalg.solve,
        lambda a, b: torch.linalg.solve(a, b.mT, left=False),
        lambda a, b: torch.linalg.lu_solve(*torch.linalg.lu_factor(a), b),
        lambda a, b: torch.lu_solve(b, *torch.linalg.lu_factor(a)),
    ):
        assert macs(function, a, b) == book.macs
    assert macs(torch.linalg.solve, a.expand(7, N, N), b) == 7 * book.macs
    one_side = book.macs - (LINES - 1) * N * (N - 1)
    assert macs(torch.linalg.solve, a, b[:, 0]) == one_side


def test_an_inverse_is_n_cubed_multiply_adds() -> None:
    assert macs(torch.linalg.inv, square()) == N * (N - 1) ** 2
    big = torch.eye(300)
    assert macs(torch.linalg.inv, big) == pytest.approx(300**3, rel=0.01)
    assert macs(torch.cholesky_inverse, big) == pytest.approx(300**3 / 3, rel=0.01)


@pytest.mark.parametrize("shape", [(N, N), (7, 4), (4, 7)])
def test_householder(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(3)
    book, a = Textbook(), torch.rand(shape, dtype=torch.double, generator=generator)
    reflections, r = book.householder(a)
    factor = book.macs
    q = book.orthogonal(reflections, min(shape))
    torch.testing.assert_close(q @ r[: min(shape)], a)
    assert macs(lambda a: torch.linalg.qr(a, mode="r")[1], a) == macs(torch.geqrf, a) == factor
    assert macs(torch.linalg.qr, a) == book.macs
    book.macs = factor
    q = book.orthogonal(reflections, shape[0])
    torch.testing.assert_close(q @ r, a)
    assert macs(lambda a: torch.linalg.qr(a, mode="complete"), a) == book.macs


def test_reflections_of_other_matrices() -> None:
    generator = torch.Generator().manual_seed(4)
    a, other = (torch.rand(7, n, dtype=torch.double, generator=generator) for n in (4, LINES))
    book = Textbook()
    reflections, _ = book.householder(a)
    factor, product = book.macs, other.clone()
    for k, v in reversed(list(enumerate(reflections))):
        book.reflect(v, product, k, 0)
    geqrf = torch.geqrf(a)
    torch.testing.assert_close(product, torch.ormqr(*geqrf, other))
    assert macs(lambda a, b: torch.ormqr(*torch.geqrf(a), b), a, other) == book.macs
    assert macs(lambda a, b: torch.ormqr(*torch.geqrf(a), b.mT, left=False), a, other) == book.macs
    book.macs = factor
    book.orthogonal(reflections, 4)
    assert macs(lambda a: torch.linalg.householder_product(*torch.geqrf(a)), a) == book.macs


def test_to_leading_order_as_textbooks_print_it() -> None:
    rows, columns = 400, 200
    tall, big = torch.zeros(rows, columns), torch.eye(columns)
    flops = {
        torch.geqrf: (tall, 2 * rows * columns**2 - 2 * columns**3 / 3),
        torch.linalg.cholesky: (big, columns**3 / 3),
        torch.linalg.lu_factor: (big, 2 * columns**3 / 3),
        torch.linalg.inv: (big, 2 * columns**3),
    }
    for function, (matrix, known) in flops.items():
        assert counted(function, matrix).corrected.count == pytest.approx(known, rel=0.02)


def test_complex_numbers_and_tools_that_count_nothing() -> None:
    one = counted(torch.linalg.cholesky, square().to(torch.cdouble))
    assert one.corrected.count == 8 * (N**3 - N) // 6
    causes = {residual.tool: residual for residual in one.residuals() if residual.flops.count}
    assert causes["FlopCounterMode"].cause == "linalg_cholesky_ex counted as zero"
    assert causes["FlopCounterMode"].flops == one.corrected


@pytest.mark.parametrize("function", [torch.linalg.svd, torch.linalg.eigh, torch.linalg.matrix_exp])
def test_what_iterates_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(ToolkitError, match="uncounted operators aten"):
        counted(function, square())
