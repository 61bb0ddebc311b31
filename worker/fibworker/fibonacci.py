"""The Fibonacci numbers, F(0)=0 and F(1)=1: once slow on purpose, once as fast as can be."""

import gmpy2


class OutOfBounds(ValueError):
    """An n or an algorithm that the pipeline does not compute."""


BRIEF = {"recursive": 20, "fast": 100_000}
"""The largest n of each algorithm that takes less than about a millisecond."""


def is_brief(n: object, algorithm: object) -> bool:
    """Is the job, whatever a message says of it, so short that a few others may well wait for it?"""
    return type(n) is int and isinstance(algorithm, str) and n <= BRIEF.get(algorithm, -1)


def recursive(n: int) -> int:
    """F(n) by its definition. The time grows by 1.618 with each n: that is the point of the demonstration."""
    return n if n < 2 else recursive(n - 1) + recursive(n - 2)


def fast(n: int) -> "gmpy2.mpz":
    """F(n) by doubling: F(2k) = F(k) (2 F(k+1) - F(k)) and F(2k+1) = F(k)^2 + F(k+1)^2, from the highest bit of n down."""
    a, b = gmpy2.mpz(0), gmpy2.mpz(1)
    for bit in bin(n)[2:]:
        a, b = a * (2 * b - a), a * a + b * b
        if bit == "1":
            a, b = b, a + b
    return a


def decimal(n: int, algorithm: str, *, largest: int) -> str:
    """F(n) as decimal text; gmpy2 converts a million digits in the time CPython needs for twenty thousand.

    Raises OutOfBounds when n is not in 0..largest: the API refuses such jobs, and the worker does not trust a message.
    """
    if not 0 <= n <= largest:
        raise OutOfBounds(f"n must be an integer 0..{largest} for algorithm {algorithm}; given was {n}")
    match algorithm:
        case "recursive":
            return str(recursive(n))
        case "fast":
            return str(fast(n).digits())
        case _:
            raise OutOfBounds(f"there is no algorithm {algorithm!r}")
