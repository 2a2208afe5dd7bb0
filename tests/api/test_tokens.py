"""Tokens are remembered, but not for long, and not too many."""

from zoe.api.tokens import REMEMBERED_MAX, REMEMBERED_SECONDS, Tokens
from zoe.store.base import Token


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Kept(dict[str, Token]):
    """What the store has, and how often it was asked."""

    asked = 0

    async def find(self, hash: str) -> Token | None:
        self.asked += 1
        return self.get(hash)


def token(hash: str) -> Token:
    return Token(hash, "t", "eve", "user", 0.0)


async def test_a_token_that_was_taken_back_works_only_for_a_moment() -> None:
    kept, clock = Kept(a=token("a")), Clock()
    tokens = Tokens(kept.find, clock)
    assert await tokens.find("a") == kept.pop("a")
    clock.now = REMEMBERED_SECONDS
    assert await tokens.find("a") is not None  # using it does not prolong it
    clock.now = REMEMBERED_SECONDS + 0.001
    assert await tokens.find("a") is None
    assert kept.asked == 2


async def test_a_new_token_works_at_once() -> None:
    kept, clock = Kept(), Clock()
    tokens = Tokens(kept.find, clock)
    assert await tokens.find("a") is None
    kept["a"] = token("a")
    assert await tokens.find("a") == kept["a"]


async def test_only_so_many_are_remembered() -> None:
    kept = Kept({str(number): token(str(number)) for number in range(REMEMBERED_MAX + 1)})
    tokens = Tokens(kept.find, Clock())
    for hash in kept:
        assert await tokens.find(hash) == kept[hash]
    assert await tokens.find("0") == kept["0"]
    assert kept.asked == REMEMBERED_MAX + 2
