"""What a user or a team holds, and has held on average."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from zoe.model.balance import Balance

NO_AMOUNTS = (0, 0, 0)


@dataclass(slots=True)
class Account:
    """What a user or a team holds, and has held on average: cores, memory, GPUs."""

    weight: float = 1.0
    held: list[int] = field(default_factory=lambda: [0, 0, 0])
    going: list[int] = field(default_factory=lambda: [0, 0, 0])
    """What of it is held by instances that are being stopped."""
    planned: list[int] = field(default_factory=lambda: [0, 0, 0])
    """What the present plan gives or keeps for essential instances."""
    guaranteed: tuple[int, int, int] = NO_AMOUNTS
    """What a team gets back whenever it needs it; 0 of something: it does not matter."""
    average: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    at: float = 0.0

    def advance(self, now: float, half_life: float) -> None:
        """Bring the average up to date."""
        if now > self.at:
            kept = 0.5 ** ((now - self.at) / half_life)
            for number, held in enumerate(self.held):
                self.average[number] = held + (self.average[number] - held) * kept
            self.at = now

    @property
    def has(self) -> list[int]:
        """What it holds, or will when the present plan has been carried out."""
        return [held + more for held, more in zip(self.held, self.planned, strict=True)]

    def part(self, amounts: Sequence[int]) -> float:
        """Return so many cores, so much memory, so many GPUs as a part of what it is guaranteed.

        It is the largest of the three parts; infinite, if nothing is guaranteed.
        """
        if self.guaranteed == NO_AMOUNTS:
            return inf
        parts = zip(amounts, self.guaranteed, strict=True)
        return max(amount / whole for amount, whole in parts if whole)


def account_of(balance: Balance, now: float, half_life: float) -> Account:
    """Return the account of who held until ``now`` what the balance says."""
    account = Account(held=list(balance.held), average=list(balance.average), at=balance.at)
    account.advance(now, half_life)
    return account


def balance_of(team: str, user: str, account: Account) -> Balance:
    """Return what is kept of the account of a user, as it is at its time."""
    cores, memory, gpus = account.average
    held = (account.held[0], account.held[1], account.held[2])
    return Balance(team, user, account.at, held, (cores, memory, gpus))


def closed(balances: Iterable[Balance], now: float, half_life: float) -> tuple[Balance, ...]:
    """Return those that say that somebody holds something, as holding nothing from now on.

    Where nobody counts any more what is held, they would soon say what is not so.
    """
    ended = []
    for each in balances:
        if any(each.held):
            account = account_of(each, now, half_life)
            account.held = [0, 0, 0]
            ended.append(balance_of(each.team, each.user, account))
    return tuple(ended)
