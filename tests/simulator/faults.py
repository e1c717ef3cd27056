"""The careless forms that the simulator must see: those that are known to break such a protocol, and more."""

from tests.simulator.planting import Change, Planted

FAULTS = (
    # What breaks the agreement.
    Planted(
        name="4.3: accepting does not raise the promise",
        changes=(
            Change(
                "agreement.witness:proposed",
                "promised=ballot, accepted=(ballot, decision)",
                "accepted=(ballot, decision)",
            ),
        ),
        within=20,
    ),
    Planted(
        name="5.3: abort is decided after commit was proposed in round 0",
        changes=(
            Change(
                "node.coordinator:Coordinator._attempt",
                "decided = await self._register.propose(record, ballot, attempt.decision)",
                "decided = await self._register.propose(record, ballot, attempt.decision)\n"
                "        if not decided.state.decided:\n"
                "            decided = await self._decide(record, Decision.ABORT, None)",
            ),
        ),
        within=60,
        scenario="duels",
    ),
    Planted(
        name="4.1: a restarted bank, or another worker, uses round 0",
        changes=(
            Change("agreement.ballot:outranking", "Ballot(1 if seen is None", "Ballot(0 if seen is None"),
        ),
        within=20,
    ),
    Planted(
        name="4.1: two attempts share a later ballot",
        changes=(
            Change(
                "agreement.ballot:outranking",
                "Ballot(1 if seen is None else seen.round + 1, bank, nonce)",
                "Ballot(1 if seen is None else seen.round + (seen.bank != bank), bank, 0)",
            ),
        ),
        within=20,
    ),
    Planted(
        name="4.6: a witness forgets its row when it is restarted",
        changes=(
            Change(
                "storage.store:SqlStore.open",
                "await self.prepare_for(self._bank.roster)",
                "await self.prepare_for(self._bank.roster)\n"
                "    self._database._database._connection.execute('UPDATE payments SET promised = NULL, accepted = NULL')",
            ),
        ),
        within=20,
        scenario="duels",
    ),
    Planted(
        name="2.2: what was accepted under one ballot is counted for another",
        changes=(
            Change(
                "node.register:RegisterClient._propose_once",
                "others = sum(_accepts(answer, ballot) for answer in answers.values())",
                "known = self.__dict__.setdefault('known', {}).setdefault((record.id, decision), [])\n"
                "    known += [answer for answer in answers.values() if isinstance(answer, Accepted)]\n"
                "    others = len(known)",
            ),
        ),
        within=60,
        scenario="stubborn",
    ),
    Planted(
        name="5.5: a sole witness commits without reading the row",
        changes=(
            Change(
                "engine.decide:_decided",
                "if record.state.decided:",
                "from ciranda.agreement.participant import State\n"
                "    if isinstance(input, Decide):\n"
                "        record = replace(record, state=State.PREPARED)\n"
                "    if record.state.decided:",
            ),
        ),
        within=40,
    ),
    Planted(
        name="3.6: a bank that answered Decided(abort) forgets it",
        changes=(
            Change(
                "engine.answering:_ask_sole_witness",
                "return _say(_decided(record), writes)",
                "return _say(_decided(record))",
            ),
        ),
        within=20,
    ),
    Planted(
        name="2.6: a bank that was put back to an old backup does not notice",
        changes=(
            Change("node.heights:HeightKeeper.heard", "if ours.number > self._store.height()", "if False"),
        ),
        within=60,
        scenario="put_back",
    ),
    Planted(
        name="6.2: any accepted decision is taken, not that of the highest ballot",
        changes=(
            Change(
                "node.register:RegisterClient.recover",
                "accepted = max((one for one",
                "accepted = min((one for one",
            ),
        ),
        within=40,
        scenario="duels",
    ),
    Planted(
        name="5.3: commit without every yes",
        changes=(Change("agreement.coordinator:Attempt.voted", "if not self._missing:", "if True:"),),
        within=5,
    ),
    Planted(
        name="6.2: a recovery commits without asking",
        changes=(
            Change(
                "node.register:RegisterClient.recover",
                "Decision.ABORT if accepted is None",
                "Decision.COMMIT if accepted is None",
            ),
        ),
        within=20,
    ),
    Planted(
        name="4.4: half of the witnesses pass for a majority",
        changes=(Change("agreement.witness:majority", "witnesses // 2 + 1", "max(1, witnesses // 2)"),),
        within=40,
    ),
    Planted(
        name="4.2: a lower ballot is promised too",
        changes=(
            Change(
                "agreement.witness:asked",
                "if register.promised is not None and ballot < register.promised:",
                "if False:",
            ),
        ),
        within=40,
    ),
    Planted(
        name="4: the coordinator decides alone where there are three witnesses",
        changes=(
            Change("node.coordinator:Coordinator._attempt", "len(record.header.witnesses) > 1", "False"),
        ),
        within=20,
    ),
    Planted(
        name="6: a participant gives up by itself when nobody answers",
        changes=(
            Change(
                "node.recovery:Recovery._find_decision",
                "assert record.header is not None",
                "if not record.coordinated_by(self._bank.ispb):\n"
                "        await self._batches.owe(Learn(id=record.id, decision=Decision.ABORT, refusal=None, said_by=self._bank.ispb))\n"
                "        return\n"
                "    assert record.header is not None",
            ),
        ),
        within=20,
    ),
    # What is said before it is durable, or forgotten.
    Planted(
        name="2.3: a vote is given and not written down",
        changes=(
            Change(
                "engine.answering:_prepare",
                "return _say(Vote(id=header.id, refusal=None), writes)",
                "return _say(Vote(id=header.id, refusal=None))",
            ),
        ),
        within=5,
    ),
    Planted(
        name="2.3: the answer leaves although the commit failed",
        changes=(
            Change(
                "storage.sqlite:SqliteDatabase._all_or_nothing",
                "raise Unavailable(str(error)) from error\n    except BaseException",
                "return\n    except BaseException",
            ),
        ),
        within=40,
    ),
    Planted(
        name="5.9: idempotency keys are kept in memory only",
        changes=(
            Change(
                "storage.store:SqlStore.open",
                "await self.prepare_for(self._bank.roster)",
                "await self.prepare_for(self._bank.roster)\n"
                "    self._database._database._connection.execute('DELETE FROM keys')",
            ),
        ),
        within=20,
    ),
    Planted(
        name="5.9: a key that was used begins a second payment",
        changes=(Change("engine.paying:begin", "if key is not None:", "if False:"),),
        within=10,
    ),
    Planted(
        name="3: an abort that overtook its Prepare is not remembered",
        changes=(
            Change(
                "engine.answering:_told_first",
                "Writes(records={told.id: told})",
                "Writes()",
            ),
        ),
        within=20,
    ),
    Planted(
        name="5.6: the client is told before the decision is durable",
        changes=(
            Change(
                "node.coordinator:Coordinator._attempt",
                "attempt = await self._gather_votes(begin, record)",
                "attempt = await self._gather_votes(begin, record)\n"
                "    self._spawn(self._decide(record, attempt.decision, attempt.refusal))\n"
                "    return replace(record, state=State.COMMITTED)",
            ),
        ),
        within=10,
    ),
    Planted(
        name="5.6: another decision is told than the one that was taken",
        changes=(
            Change("node.coordinator:telling", "decision=record.decision,", "decision=Decision.ABORT,"),
        ),
        within=5,
    ),
    Planted(
        name="5.6: whoever was not told at once is never told",
        changes=(
            Change(
                "engine.settling:settle",
                "untold = others(record, view.bank.ispb) if record.coordinated_by(view.bank.ispb) else ()",
                "untold: tuple[Ispb, ...] = ()",
            ),
            Change(
                "node.recovery:Recovery._find_decision",
                "elif ours:",
                "elif True:\n        return\n    elif ours:",
            ),
        ),
        within=20,
    ),
    Planted(
        name="6: a row that nobody takes up again",
        changes=(
            Change(
                "engine.answering:_prepare",
                "due=None if refusal else later(now, prepare.time_left_ms + GRACE_MS)",
                "due=None",
            ),
        ),
        within=20,
        scenario="gone",
    ),
    # What is done to the money.
    Planted(
        name="3: what was held is not released",
        changes=(
            Change(
                "engine.settling:settle",
                "book.release(booking)\n            writes = booked(book)",
                "pass\n            writes = booked(book)",
            ),
        ),
        within=10,
    ),
    Planted(
        name="I1: a decision is applied twice",
        changes=(
            Change(
                "engine.settling:settle",
                "book.post(booking, record.id, now)",
                "book.post(booking, record.id, now)\n                book.place(booking)\n"
                "                book.post(booking, record.id, now)",
            ),
        ),
        within=10,
    ),
    Planted(
        name="I1: balances are read outside the transaction",
        changes=(
            Change(
                "storage.batch:_read",
                "link_rows = transaction.read",
                "stale = bank.__class__.__dict__.get('stale')\n"
                "    if stale is None:\n"
                "        bank.__class__.stale = stale = {}\n"
                "    before = stale.setdefault(bank.ispb, {})\n"
                "    view.accounts, fresh = {**view.accounts, **{k: before[k] for k in view.accounts if k in before}}, "
                "view.accounts\n"
                "    before.update(fresh)\n"
                "    link_rows = transaction.read",
            ),
        ),
        within=10,
    ),
    Planted(
        name="I1: an account may go under its floor",
        changes=(Change("ledger.booking:Book.place", "if debtor.available < booking.amount:", "if False:"),),
        within=10,
    ),
    Planted(
        name="3: a Prepare that comes again is placed again",
        changes=(
            Change(
                "engine.answering:_prepare",
                "if record is not None and record.state is not State.UNKNOWN:",
                "if record is not None and record.state is State.ABORTED:",
            ),
        ),
        within=40,
    ),
    Planted(
        name="3.4: what a mandate allows is not given back",
        changes=(
            Change(
                "engine.counting:give_back",
                "writes.mandates = _mandates(view, mandates_used(record.clauses), -1)",
                "pass",
            ),
        ),
        within=20,
    ),
    Planted(
        name="3.4: what a mandate allows is not counted",
        changes=(Change("engine.counting:count", "writes.mandates = _mandates(view, used, +1)", "pass"),),
        within=10,
    ),
    Planted(
        name="3.3: what was spent is not given back",
        changes=(
            Change("engine.counting:give_back", "writes.spent = _spent(view, record.counted, -1)", "pass"),
        ),
        within=10,
        scenario="limits",
    ),
    Planted(
        name="3.3: what other banks start is not counted against the holder's limits",
        changes=(
            Change(
                "engine.answering:_prepare",
                "count(view, record, writes, now)",
                "(count(view, record, writes, now), writes.spent.clear())[0]",
            ),
        ),
        within=10,
        scenario="limits",
    ),
    Planted(
        name="3.3: the holders' limits are not looked at",
        changes=(
            Change("engine.counting:exceeded", "if _over_limits(view, account, amounts, now):", "if False:"),
        ),
        within=10,
        scenario="limits",
    ),
    Planted(
        name="3.3: limits know what was spent before the batch, and not what is spent in it",
        changes=(Change("engine.view:View.apply", "self.spent.update(writes.spent)", "pass"),),
        within=20,
        scenario="limits",
    ),
    # What strangers and liars may do.
    Planted(
        name="2.2: signatures are not checked",
        changes=(
            Change(
                "wire.signature:Seal._read_our_form",
                "if not _signed(base64.b64decode(signature[1]), text, keys):",
                "if False:",
            ),
        ),
        within=20,
        scenario="liars",
    ),
    Planted(
        name="1.4: two payments under one id are not written down",
        changes=(Change("engine.decide:_heard", "Writes(violations=[seen])", "Writes()"),),
        within=20,
        scenario="liars",
    ),
    Planted(
        name="3.7: a transfer need not fit the header's leaf",
        changes=(
            Change("engine.answering:_check_parts", "leaf(part) != header.leaves[part.index]", "False"),
        ),
        within=20,
        scenario="liars",
    ),
    Planted(
        name="2.5: any member may tell a decision",
        changes=(Change("engine.answering:_tell", "if not {sender, own} <= header.banks:", "if False:"),),
        within=20,
        scenario="liars",
    ),
    Planted(
        name="3.4: anybody's mandate will do",
        changes=(
            Change(
                "engine.mandate:Mandate.serves",
                "self.payer == payer",
                "True",
            ),
        ),
        within=20,
    ),
    Planted(
        name="5.9: a key may be used for something else",
        changes=(Change("engine.decide:decide", "if mismatched(view, claim_of(input)):", "if False:"),),
        within=20,
    ),
    Planted(
        name="3.6: the reason of a refusal is worked out anew",
        changes=(
            Change(
                "engine.paying:begin",
                "return Step(writes=Writes(), reply=Paid(record=view.records[EndToEndId(key.made)]))",
                "record = view.records[EndToEndId(key.made)]\n"
                "        if record.refusal is not None:\n"
                "            from msgspec.structs import replace\n"
                "            record = replace(record, refusal=Refusal(code=Code.ABORTED, bank=view.bank.ispb))\n"
                "        return Step(writes=Writes(), reply=Paid(record=record))",
            ),
        ),
        within=20,
    ),
    Planted(
        name="4.1: a ballot is used before it is written down",
        changes=(
            Change(
                "engine.concluding:take_ballot",
                "Step(writes=Writes(records={taken.id: taken}), reply",
                "Step(writes=Writes(), reply",
            ),
        ),
        within=20,
    ),
    Planted(
        name="5.6: witnesses that are no participants are not told",
        changes=(
            Change(
                "engine.settling:others",
                "record.header.banks",
                "{*record.header.participants}",
            ),
        ),
        within=20,
        scenario="duels",
    ),
    Planted(
        name="5.8: a peer that was down stays down",
        changes=(Change("peers.http:HttpPeers._heard", "if peer.up:", "if True:"),),
        within=10,
    ),
    Planted(
        name="a failed write stops the writer for ever",
        changes=(
            Change(
                "node.batches:Batches._work",
                "finally:\n        self._idle_lanes += 1",
                "except Unavailable:\n        raise\n    else:\n        self._idle_lanes += 1",
            ),
            Change("node.batches:Batches._write", "return\n", "raise\n"),
        ),
        within=10,
    ),
    Planted(
        name="3.5: a peer may owe more than it was allowed",
        changes=(
            Change(
                "ledger.booking:Book.place",
                "if debtor.available < booking.amount:",
                "if debtor.available < booking.amount and not debtor.id.startswith('clearing'):",
            ),
        ),
        within=20,
    ),
    Planted(
        name="3.6: a Prepare that comes again is refused for another reason",
        changes=(
            Change(
                "engine.answering:_prepare",
                "None if say is Say.YES else record.refusal",
                "None if say is Say.YES else Refusal(code=Code.DEADLINE_PASSED, bank=view.bank.ispb)",
            ),
        ),
        within=20,
    ),
    Planted(
        name="3.5: what one peer owes is booked as another's debt",
        changes=(
            Change(
                "engine.record:booking_of",
                "else clearing(bank_of(source))",
                "else clearing(Ispb('10000002' if (bank_of(source), bank) == ('10000001', '10000003') "
                "else bank_of(source)))",
            ),
        ),
        within=5,
    ),
    # The chain.
    Planted(
        name="a row that changes is not in the chain again",
        changes=(
            Change(
                "storage.chaining:Chaining.change",
                "self._note_in(STRIPS[table][1], rows, rows)",
                "self._note_in(STRIPS[table][1], rows[:1], rows[:1])",
            ),
        ),
        within=5,
    ),
    # What all holders sign.
    Planted(
        name="two of three holders are enough",
        changes=(
            Change("engine.approving:sign", "if not approval.missing:", "if len(approval.approved) > 1:"),
        ),
        within=10,
        scenario="signatures",
    ),
    Planted(
        name="a holder's refusal is answered and not written down",
        changes=(
            Change("engine.approving:_end", "writes.records = {record.id: record}", "writes = Writes()"),
        ),
        within=10,
        scenario="signatures",
    ),
    Planted(
        name="each of two last approvals at one moment goes on with the payment",
        changes=(
            Change(
                "node.coordinator:Coordinator._follow",
                "if isinstance(reply, Paid) and reply.begun:",
                "if True:",
            ),
        ),
        within=20,
        scenario="signatures",
    ),
)
