"""The numbers themselves."""

import pytest

from fibworker.fibonacci import OutOfBounds, decimal, fast, recursive

KNOWN = {0: 0, 1: 1, 2: 1, 3: 2, 5: 5, 10: 55, 20: 6765, 25: 75025}


@pytest.mark.parametrize(("n", "value"), KNOWN.items())
def test_both_algorithms_know_the_numbers(n: int, value: int) -> None:
    assert recursive(n) == value
    assert fast(n) == value


def test_doubling_agrees_with_adding() -> None:
    a, b = 0, 1
    for n in range(1000):
        assert fast(n) == a, n
        a, b = b, a + b


def test_decimal_text_of_any_length() -> None:
    assert decimal(30, "recursive", largest=30) == "832040"
    text = decimal(1_000_000, "fast", largest=1_000_000)
    assert (len(text), text[:10], text[-10:]) == (208_988, "1953282128", "8242546875")


@pytest.mark.parametrize("n", [-1, 31, 10**9])
def test_what_the_api_would_refuse_is_refused_here_too(n: int) -> None:
    with pytest.raises(OutOfBounds, match=rf"0\.\.30 for algorithm recursive; given was {n}"):
        decimal(n, "recursive", largest=30)


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(OutOfBounds, match="'quick'"):
        decimal(3, "quick", largest=30)
