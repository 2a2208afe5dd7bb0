"""Who has which room and who wants more, kept up to date by what happens.

The planner knows counts of instances, not instances. :mod:`zoe.scheduler.allocator` turns its plans
into instances that start and stop, and tells it what became of them; the simulator commits its
plans as they are. Both drive the same code.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import inf

from zoe.model.cluster import Node
from zoe.model.execution import Reason
from zoe.model.quota import Accounts
from zoe.scheduler.backfill import Reservation
from zoe.scheduler.contender import Contender
from zoe.scheduler.demand import Demand
from zoe.scheduler.ends import Ends
from zoe.scheduler.fairness import Fairness, FairOrder
from zoe.scheduler.fitting import Fitting
from zoe.scheduler.generations import GENERATIONS
from zoe.scheduler.lending import Lendings
from zoe.scheduler.plan import Plan
from zoe.scheduler.queue import CHANGING, POLICIES, Growing, Order
from zoe.scheduler.quota import Ledger, charge_start
from zoe.scheduler.rank import rank_of
from zoe.scheduler.reach import Reach
from zoe.scheduler.request import Requests
from zoe.scheduler.room import Room
from zoe.scheduler.search import SEARCH_STEPS
from zoe.scheduler.sharing import Sharing
from zoe.scheduler.stock import Places


class Planner:
    """The room, and all executions that have some or wait for some."""

    def __init__(
        self, sharing: Sharing, why_not: Callable[[Contender], Reason] | None = None
    ) -> None:
        self.sharing = sharing
        self.why_not = why_not
        """Says why the essential set does not fit at this moment; None: nobody asks."""
        self.room = Room(rank_of(sharing.rank, sharing.seed))
        self.contenders: dict[int, Contender] = {}
        self._requests = Requests(self.room)
        self.fairness: Fairness | None = None
        self.waiting: Order | FairOrder = Order(self.contenders)
        if sharing.policy == "fair":
            self.fairness = Fairness(sharing.half_life_seconds)
            self.waiting = FairOrder(self.contenders, self.fairness)
        self.growing = Growing(self.contenders)
        self.homeless = Order(self.contenders)
        self.by_age: list[tuple[float, int]] = []
        """Those that wait, by submission."""
        self.lent = Lendings()
        self.ends = Ends()
        self.claims: dict[int, list[tuple[Fitting, Places]]] = {}
        """Room that is held, until it has been cleared, for executions that wait."""
        self.holders: dict[int, set[int]] = {}
        """By node: the executions that hold room there."""
        self.stopping: set[int] = set()
        """Executions with instances that are being stopped."""
        self.keeping: set[int] = set()
        """Executions of which some elastic instances are not to be taken back."""
        self.ledger = Ledger()
        """Who uses how much of which quota."""
        self.reservation: Reservation | None = None
        """Of the first that was blocked in the last plan."""
        self.changes = 0
        """Grows whenever anybody gets room or gives some back."""
        self._found_blocked = (0, -1, inf)
        """Who, at which of the ``changes``, and until when it need not be tried again."""
        self.reach = Reach(all_together=sharing.generation == "rigid")
        self._policy = POLICIES[sharing.policy]
        self._reorders = sharing.policy in CHANGING
        self._generation = GENERATIONS[sharing.generation]

    # What there is, and who wants it.

    def set_nodes(self, nodes: Iterable[Node]) -> None:
        """Take over what the nodes are; what is held on them stays held."""
        self.drop_claims()
        self.changes += 1
        names = [node.name for node in self.room.nodes]
        held = [counts for each in self.contenders.values() for _, counts in each.held()]
        known = list(nodes)
        self.reach.set_nodes(known)
        self.room.set_nodes(known, {names[node] for counts in held for node in counts})
        for counts in held:
            there = {self.room.index[names[node]]: count for node, count in counts.items()}
            counts.clear()
            counts.update(there)
        if self.fairness is not None:
            self.fairness.set_total(self.room.total)
        self.holders = {}
        for contender in self.contenders.values():
            contender.is_excluded = None
            for fitting, counts in contender.held():
                self.room.take(fitting, list(counts.items()))
                for node in counts:
                    self.holders.setdefault(node, set()).add(contender.id)
            for need, counts in enumerate(contender.going):
                self.room.expect(contender.fittings[need], list(counts.items()))
        self.lent.renumber(lambda node: self.room.index[names[node]])

    def set_shares(self, shares: Accounts) -> None:
        """Take over what users and teams may have; nothing is taken from those that run."""
        self.drop_claims()
        self.changes += 1
        self.ledger.set_shares(shares, self.contenders.values())
        if self.fairness is not None:
            teams = shares.teams
            users = {name: user.weight for name, user in shares.users.items()}
            self.fairness.set_weights({name: team.weight for name, team in teams.items()}, users)
            self.fairness.set_guaranteed({name: team.guaranteed for name, team in teams.items()})

    def add(self, demand: Demand, now: float, learnt: float | None = None) -> Contender:
        """Know an execution from now on; :meth:`wait` or :meth:`admit` it next.

        ``learnt`` is what past runs say of its run time; what was declared goes before.
        """
        demand, asks = self._requests.share(demand)
        seconds = learnt if demand.run_seconds is None else demand.run_seconds
        contender = self.contenders[demand.execution_id] = Contender(demand, asks, seconds)
        self.ledger.open(contender)
        contender.key = self._key(contender, now)
        return contender

    def wait(self, contender: Contender, now: float) -> None:
        """Put it into the queue, or in its new place there."""
        self.leave(contender)
        contender.key = self._key(contender, now)
        contender.is_excluded = None
        self.waiting.add(contender)
        insort(self.by_age, (contender.demand.submitted_at, contender.id))

    def leave(self, contender: Contender) -> None:
        """Take it out of the queue, if it is in."""
        if contender.id in self.waiting:
            self.waiting.discard(contender.id)
            self.release_claim(contender.id)
            age = (contender.demand.submitted_at, contender.id)
            del self.by_age[bisect_left(self.by_age, age)]

    def admit(self, contender: Contender, now: float) -> None:
        """Note that it has its room: it makes progress from now on."""
        self.leave(contender)
        contender.is_admitted = True
        contender.at = now
        self.refresh(contender)

    def end(self, contender: Contender) -> None:
        """Note that its end is decided: it wants nothing more."""
        contender.is_ending = True
        self.refresh(contender)

    def forget(self, execution_id: int, now: float) -> None:
        """Know an execution no longer; what it still holds comes free at once."""
        contender = self.contenders[execution_id]
        self.end(contender)
        self.leave(contender)
        for need, counts in enumerate(contender.going):
            self._expect(contender, need, list(counts.items()), -1)
        for fitting, counts in contender.held():
            self._give_up(contender, fitting, list(counts.items()), now)
            for node in counts:
                self.holders[node].discard(execution_id)
        for need, counts in enumerate(contender.elastic):
            for node, count in counts.items():
                self.lent.end(contender, need, node, count)
        self._expect_end(contender, None)
        contender.is_admitted = False
        self.ledger.note(contender)
        self.stopping.discard(execution_id)
        self.keeping.discard(execution_id)
        del self.contenders[execution_id]
        self._requests.leave(contender.asks)

    def set_minimum(self, contender: Contender, minimum: tuple[int, ...] | None) -> None:
        """Let others take back its elastic instances down to so many of each need."""
        contender.minimum = minimum
        if minimum is None:
            self.keeping.discard(contender.id)
        else:
            self.keeping.add(contender.id)
        self.changes += 1  # who is blocked may find more to take back, or less

    def refresh(self, contender: Contender) -> None:
        """Note whether it wants more, after what it misses has changed."""
        self.growing.keep(contender, wanted=contender.is_incomplete)
        self.homeless.keep(contender, wanted=contender.is_homeless)
        self.ledger.note(contender)

    # What becomes of the room.

    def hold(
        self,
        contender: Contender,
        need: int,
        places: Places,
        now: float,
        *,
        elastic: bool,
        since: float,
    ) -> None:
        """Have instances hold room on these nodes, on which they were placed at ``since``."""
        self.room.take(contender.fittings[need], places)
        self._enter(contender, need, places, now, since if elastic else None)

    def drop(
        self, contender: Contender, need: int, place: tuple[int, int], now: float, *, elastic: bool
    ) -> None:
        """Have instances that worked give their room up at once."""
        self._remove(contender, need, place, now, elastic=elastic)
        self._give_up(contender, contender.fittings[need], [place], now)
        self._forget_holder(contender, place[0])

    def retire(
        self, contender: Contender, need: int, place: tuple[int, int], now: float, *, elastic: bool
    ) -> None:
        """Have instances stop working; they hold their room until they are :meth:`gone`."""
        self._remove(contender, need, place, now, elastic=elastic)
        contender.count(contender.going, need, *place)
        self.stopping.add(contender.id)
        self._expect(contender, need, [place], 1)

    def gone(self, contender: Contender, need: int, place: tuple[int, int], now: float) -> None:
        """Have instances that were being stopped give their room up."""
        self.changes += 1
        node, count = place
        contender.count(contender.going, need, node, -count)
        if not any(contender.going):
            self.stopping.discard(contender.id)
        self._forget_holder(contender, node)
        self._expect(contender, need, [place], -1)
        self._give_up(contender, contender.fittings[need], [place], now)
        self.ledger.note(contender)

    def _forget_holder(self, contender: Contender, node: int) -> None:
        if not any(node in counts for _, counts in contender.held()):
            self.holders[node].discard(contender.id)

    def drop_claims(self) -> None:
        """Hold nothing for anybody any more."""
        for execution_id in list(self.claims):
            self.release_claim(execution_id)

    def hold_claims(self, claims: Mapping[int, list[tuple[Fitting, Places]]]) -> None:
        """Hold exactly this for those who wait."""
        self.drop_claims()
        for execution_id, held in claims.items():
            for fitting, places in held:
                self.room.expect(fitting, places, -1)
            self.claims[execution_id] = held

    def release_claim(self, execution_id: int) -> None:
        """Hold nothing for this execution any more."""
        for fitting, places in self.claims.pop(execution_id, ()):
            self.room.release(fitting, places, coming=True)

    # Planning.

    def queue(self, now: float) -> Iterator[Contender]:
        """Yield who waits, in order: first those who have waited too long, the oldest first."""
        overdue = set()
        for submitted_at, execution_id in self.by_age:
            if not self.sharing.is_overdue(submitted_at, now):
                break
            overdue.add(execution_id)
            contender = self.contenders[execution_id]
            if not self.is_passed_over(contender):
                yield contender
            elif not contender.is_excluded and self.ledger.why_never(contender) is None:
                charge_start(contender)  # so that its own user's smaller ones do not starve it
        for contender in self.waiting:
            may_be_out = contender.is_excluded is not False or contender.allowances
            if contender.id in overdue or (may_be_out and self.is_passed_over(contender)):
                continue
            yield contender

    def is_passed_over(self, contender: Contender) -> bool:
        """Whether nothing but other nodes or its own user's quota keeps it from starting."""
        if self.reach.excludes(contender):
            return True
        contender.is_over = bool(contender.allowances) and self.ledger.passes_over(contender)
        return contender.is_over

    def plan(self, now: float) -> Plan:
        """Return what to do next; its room is taken already, until :meth:`undo` or for good.

        What is held for executions that wait (:attr:`claims`) stays held until the next plan.
        """
        if self._reorders:
            for contender in self.contenders.values():
                contender.key = self._key(contender, now)
            for order in (self.waiting, self.growing, self.homeless):
                order.sort()
        if self.fairness is not None:
            self.fairness.begin_plan(now)
        self.drop_claims()
        self.room.search_steps = SEARCH_STEPS
        self.ledger.begin_plan()
        known, retry_at = self.blocked_at(now), self._found_blocked[2]
        plan = self._generation(self, now)
        if plan.blocked is not None:
            if plan.blocked == known:  # it was not tried again
                plan.retry_at = min(plan.retry_at, retry_at)
            self._found_blocked = (plan.blocked, self.changes, plan.retry_at)
        if self.fairness is not None:
            self.fairness.end_plan()
        return plan

    def blocked_at(self, now: float) -> int | None:
        """Return who was found blocked, if nobody got room or gave some back since."""
        execution_id, changes, retry_at = self._found_blocked
        return execution_id if changes == self.changes and now < retry_at else None

    def undo(self, plan: Plan) -> None:
        """Give back what a plan took."""
        for grant in reversed(plan.grants):
            self.room.give(grant.contender.fittings[grant.need], grant.places)
        for lending, count, _ in plan.take_back:
            fitting = lending.contender.fittings[lending.need]
            self.room.expect(fitting, [(lending.node, count)], -1)

    def commit(self, plan: Plan, now: float) -> None:
        """Make a plan so, all at once: what it grants works, what it takes back is retired."""
        for grant in plan.grants:
            contender = grant.contender
            if not contender.is_admitted:
                self.admit(contender, now)
            missing = contender.elastic_missing if grant.elastic else contender.essential_missing
            missing[grant.need] -= sum(count for _, count in grant.places)
            self._enter(contender, grant.need, grant.places, now, now if grant.elastic else None)
            self.refresh(contender)
        for lending, count, _ in plan.take_back:
            contender, place = lending.contender, (lending.node, count)
            self.room.expect(contender.fittings[lending.need], [place], -1)
            self.retire(contender, lending.need, place, now, elastic=True)
            contender.elastic_missing[lending.need] += count
            contender.note_shrunk(now)
            self.refresh(contender)

    def _expect(self, contender: Contender, need: int, places: Places, sign: int) -> None:
        """Count the room of these places as coming, or (with -1) no longer."""
        fitting = contender.fittings[need]
        self.room.expect(fitting, places, sign)
        if self.fairness is not None:
            self.fairness.expect(contender, fitting, sign * sum(count for _, count in places))

    def _give_up(self, contender: Contender, fitting: Fitting, places: Places, now: float) -> None:
        self.room.give(fitting, places)
        if self.fairness is not None:
            self.fairness.count(contender, fitting, -sum(count for _, count in places), now)

    def _key(self, contender: Contender, now: float) -> tuple[float, float, int]:
        demand = contender.demand
        return (self._policy(contender, now), demand.submitted_at, demand.execution_id)

    def _enter(
        self, contender: Contender, need: int, places: Places, now: float, lent: float | None
    ) -> None:
        """Have instances work: essential ones, or elastic ones, to which room was ``lent`` then."""
        contender.begin_to_hold()
        held = contender.essential if lent is None else contender.elastic
        more = 0
        for node, count in places:
            contender.count(held, need, node, count)
            self.holders.setdefault(node, set()).add(contender.id)
            more += count
            if lent is not None:
                self.lent.lend(contender, need, node, count, lent)
        if self.fairness is not None:
            self.fairness.count(contender, contender.fittings[need], more, now)
        contender.count_working(need, more)
        contender.advance(now, more)
        self._expect_end(contender, now)
        self.ledger.note(contender)

    def _remove(
        self, contender: Contender, need: int, place: tuple[int, int], now: float, *, elastic: bool
    ) -> None:
        node, count = place
        contender.count(contender.elastic if elastic else contender.essential, need, node, -count)
        if elastic:
            self.lent.end(contender, need, node, count)
        contender.count_working(need, -count)
        contender.advance(now, -count)
        self._expect_end(contender, now)
        self.ledger.note(contender)

    def _expect_end(self, contender: Contender, now: float | None) -> None:
        """Note when it is believed to end; with None that it has ended."""
        self.changes += 1
        self.ends.expect(contender, now)
