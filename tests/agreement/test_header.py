"""A payment's header: its digest stands for all of it, its leaves for the transfers, its witnesses for safety."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ciranda.agreement.header import Header, Part, choose_witnesses, concerns, digest, leaf, witness_count
from ciranda.identity import EndToEndId, Ispb, make_address
from ciranda.instant import Instant
from ciranda.payment import Transfer

A, B, C, D, E = (Ispb(f"1000000{digit}") for digit in "12345")
ID = EndToEndId(f"E{B}202611230514abcDEF12345")
TRANSFER = Transfer(source=make_address(A, "0001", "1"), target=make_address(D, "0001", "2"), amount=30)
PART = Part(index=0, transfer=TRANSFER, salt="00" * 16)
HEADER = Header(
    id=ID,
    deadline=Instant(1_000),
    participants=(A, B, D),
    witnesses=(B, A, D),
    roster_version=1,
    leaves=(leaf(PART), leaf(replace(PART, index=1))),
)


@pytest.mark.parametrize(
    "change",
    [
        {"id": EndToEndId(f"E{B}202611230514abcDEF12346")},
        {"deadline": Instant(1_001)},
        {"participants": (A, B)},
        {"participants": (B, A, D)},
        {"witnesses": (B,)},
        {"witnesses": (B, D, A)},
        {"roster_version": 2},
        {"leaves": HEADER.leaves[:1]},
        {"leaves": HEADER.leaves[::-1]},
        {"leaves": (HEADER.leaves[0], "0" * 64)},
    ],
)
def test_changing_anything_of_a_header_changes_its_digest(change: dict[str, object]) -> None:
    """PROTOCOL 1.1."""
    assert digest(replace(HEADER, **change)) != digest(HEADER)


@pytest.mark.parametrize(
    "change",
    [
        {"index": 1},
        {"salt": "00" * 15 + "01"},
        {"transfer": replace(TRANSFER, amount=31)},
        {"transfer": replace(TRANSFER, source=TRANSFER.target)},
        {"transfer": replace(TRANSFER, target=TRANSFER.source)},
        {"transfer": replace(TRANSFER, source=TRANSFER.target, target=TRANSFER.source)},
    ],
)
def test_changing_anything_of_a_transfer_changes_its_leaf(change: dict[str, object]) -> None:
    """PROTOCOL 1.1."""
    assert leaf(replace(PART, **change)) != leaf(PART)


def test_digest_and_leaf_are_those_of_a_known_text() -> None:
    """Every version of every bank must come to the same ones: this test never changes."""
    text = (
        f'{{"index":0,"transfer":{{"source":"{TRANSFER.source}","target":"{TRANSFER.target}","amount":30}},'
        '"salt":"00000000000000000000000000000000"}'
    )
    assert leaf(PART) == sha256(text.encode()).hexdigest()
    header = (
        f'{{"id":"{ID}","deadline":1000,"participants":["{A}","{B}","{D}"],"witnesses":["{B}","{A}","{D}"],'
        f'"roster_version":1,"leaves":["{HEADER.leaves[0]}","{HEADER.leaves[1]}"]}}'
    )
    assert digest(HEADER) == sha256(header.encode()).hexdigest()


def test_the_salt_hides_the_transfer_from_a_bank_that_guesses_it() -> None:
    """PROTOCOL 1.1: the same transfer twice has two leaves."""
    assert len({leaf(replace(PART, salt=f"{n:032x}")) for n in range(100)}) == 100


def test_a_transfer_concerns_the_banks_of_its_two_ends_only() -> None:
    assert [concerns(PART, bank) for bank in (A, B, C, D)] == [True, False, False, True]


@pytest.mark.parametrize(
    ("wanted", "members", "count"),
    [
        (1, 5, 1),
        (3, 5, 3),
        (3, 2, 1),
        (3, 3, 3),
        (4, 5, 3),
        (5, 4, 3),
        (5, 5, 5),
        (7, 6, 5),
        (0, 4, 1),
        (2, 4, 1),
    ],
)
def test_the_witnesses_are_the_largest_odd_number_that_is_wanted_and_there(
    wanted: int, members: int, count: int
) -> None:
    """PROTOCOL 1.3."""
    assert witness_count(wanted, members) == count


def test_who_holds_only_its_own_customers_money_is_the_only_witness() -> None:
    """PROTOCOL 1.3."""
    assert choose_witnesses(ID, B, {B}, {B, D}, [A, B, C, D, E], frozenset(), 3) == (B,)


banks = st.sets(st.sampled_from([A, C, D, E]), min_size=1)


@given(banks, st.sets(st.sampled_from([A, C, D, E])), st.sampled_from([1, 3, 5]), st.integers(0, 999))
def test_the_witnesses_are_the_coordinator_then_participants_then_others_that_are_up(
    participants: set[Ispb], down: set[Ispb], wanted: int, number: int
) -> None:
    """PROTOCOL 1.3."""
    id = EndToEndId(f"E{B}202611230514{number:011d}")
    members = [A, B, C, D, E]
    chosen = choose_witnesses(id, B, participants, participants, members, frozenset(down), wanted)
    assert chosen == choose_witnesses(
        id, B, participants, participants, members[::-1], frozenset(down), wanted
    )
    assert chosen[0] == B
    assert len(chosen) == len(set(chosen)) == wanted
    ranks = [(bank not in participants, bank in down) for bank in chosen[1:]]
    assert ranks == sorted(ranks)
    left_out = set(members) - set(chosen)
    assert all(
        (bank not in participants, bank in down) >= max(ranks, default=(False, False)) for bank in left_out
    )


def test_the_work_of_a_witness_is_spread() -> None:
    """PROTOCOL 1.3: each group is ordered by a hash of the payment's id and the bank's."""
    seconds = [
        choose_witnesses(
            EndToEndId(f"E{B}202611230514{n:011d}"), B, {A}, {A}, [A, B, C, D, E], frozenset(), 3
        )[2]
        for n in range(300)
    ]
    assert all(seconds.count(bank) > 60 for bank in (C, D, E))
