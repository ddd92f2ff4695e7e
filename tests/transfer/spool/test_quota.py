"""The spool's limit under any order of claims, waits, drops and ends: it holds, and all moves on."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from skyhaul_connectors.transfer.spool.quota import AdmissionQueue

LIMIT = 100


class Spool(RuleBasedStateMachine):
    """Segments of 1 to LIMIT bytes; a consumer that waits for one segment at a time of each shard."""

    def __init__(self) -> None:
        super().__init__()
        self.admission = AdmissionQueue(LIMIT)
        self.lengths: dict[int, list[int]] = {}
        self.inside: dict[int, set[int]] = {}
        self.used: dict[int, int] = {}
        self.freed: dict[int, int] = {}
        self.next = 0

    @rule(lengths=st.lists(st.integers(1, LIMIT), min_size=1, max_size=5))
    def a_shard_is_claimed(self, lengths: list[int]) -> None:
        number = self.next
        self.next += 1
        self.lengths[number], self.inside[number] = lengths, set()
        self.used[number] = self.freed[number] = 0
        self.admission.add(number, lengths, [], number=number)
        self.admit()

    @precondition(lambda self: self.lengths)
    @rule(data=st.data())
    def a_consumer_waits_and_uses_what_it_gets(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.lengths)))
        segment = self.used[number]
        if segment == len(self.lengths[number]):
            return
        self.admission.demand(number, segment)
        self.admit()
        assert segment in self.inside[number] or self.admission.blocked
        assert segment in self.inside[number], "whoever waits gets it when nothing else moves"
        self.used[number] += 1
        self.admission.freed(number, self.lengths[number][segment])
        self.freed[number] += self.lengths[number][segment]
        self.admit()

    @precondition(lambda self: self.lengths)
    @rule(data=st.data(), keep=st.booleans())
    def a_shard_leaves(self, data: st.DataObject, keep: bool) -> None:
        number = data.draw(st.sampled_from(sorted(self.lengths)))
        self.admission.cancel(number)
        self.admission.leave(number, keep_as=None)
        del self.lengths[number], self.inside[number]
        self.admit()

    @invariant()
    def the_books_are_right(self) -> None:
        expected = sum(sum(self.lengths[n][i] for i in self.inside[n]) - self.freed[n] for n in self.lengths)
        assert self.admission.taken == expected

    def admit(self) -> None:
        before = self.admission.taken
        demanded = any(entry.demanded for entry in self.admission._entries.values())
        admitted = self.admission.admit(idle=True, reclaiming=False)
        for number, segment in admitted:
            assert segment not in self.inside[number]
            self.inside[number].add(segment)
        if not demanded:
            assert self.admission.taken <= max(before, LIMIT)

    def teardown(self) -> None:
        for number in sorted(self.lengths):
            while self.used[number] < len(self.lengths[number]):
                segment = self.used[number]
                self.admission.demand(number, segment)
                self.admit()
                assert segment in self.inside[number]
                self.used[number] += 1
                self.admission.freed(number, self.lengths[number][segment])
                self.freed[number] += self.lengths[number][segment]
            self.admission.leave(number, keep_as=None)
        assert self.admission.taken == 0


Spool.TestCase.settings = settings(deadline=None, derandomize=True, max_examples=40)
TestAdmission = Spool.TestCase
