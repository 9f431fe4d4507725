from workers.behaviour.draws import Draws


def test_even_and_the_same_again() -> None:
    draws, again = Draws("seed"), Draws("seed")
    drawn = [draws.below(4) for _ in range(4_000)]
    assert drawn == [again.below(4) for _ in range(4_000)]
    assert all(900 < drawn.count(at) < 1_100 for at in range(4))
    assert drawn[:40] != [Draws("other").below(4) for _ in range(40)]


def test_some_are_different_and_in_order() -> None:
    of = list(range(20))
    some = Draws("seed").some(of, 5)
    assert len(set(some)) == 5
    assert some == sorted(some)
    assert Draws("seed").some(of, 50) == of
    assert Draws("seed").some([], 1) == []
