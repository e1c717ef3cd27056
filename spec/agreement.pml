/*
 * How banks agree (docs/PROTOCOL.md), as a model that SPIN searches to its end: one payment, from the moment at which
 * its coordinator has begun it. Numbers in comments are sentences of PROTOCOL.md; README.md says what is left out.
 *
 * To read it: `::` begins one of several things that may happen next; `guard -> effect` happens only where the guard
 * holds; `d_step { }` is one step that nothing interrupts, here one database transaction with the answers that leave
 * after it (2.3). SPIN tries every order of all steps of all banks, and tests each `assert` wherever it comes.
 *
 * What may go wrong needs few words:
 * - Messages. What was sent is in the air for ever. It arrives at any time, again and again, or never.
 * - Crashes. A bank that is down takes no step. What its memory held, an attempt, is lost; its row is not.
 * - Clocks. A deadline passes, and recovery begins, at any time.
 */

/* The consortium, as `check` sets it. Bank 0 is the coordinator. */
#ifndef BANKS
#define BANKS        3
#define PARTICIPANTS 7    /* a bit for each bank that holds an account (1.2): 7 is banks 0, 1 and 2 */
#define WITNESSES    3    /* banks 0, 1 and 2; or 1: the coordinator alone (1.3) */
#define RECOVERIES   2    /* how many ballots recovery takes, in all banks together: 1 to 3 */
#define WAY_OUT      1    /* whether to look in every state for the way out (I7), at the end of this file */
#endif

/* What `check` plants, to see that it is found: a fault ... */
#ifndef PLANTED
#define PLANTED 0
#endif
#define ACCEPTING_PROMISES_NOTHING   1
#define LOWER_BALLOT_TAKEN           2
#define ABORT_AFTER_COMMIT           3
#define ROUND_0_BY_ANOTHER           4
#define BALLOT_SHARED                5
#define ROW_FORGOTTEN                6
#define ANY_BALLOT_COUNTS            7
#define ROW_NOT_READ                 8
#define DECISION_FORGOTTEN           9
#define LOWER_REPORT_TAKEN          10
#define YES_MISSING                 11
#define YES_FORGOTTEN               12
#define ANSWER_BEFORE_WRITE         13
#define CLIENT_TOLD_EARLY           14
#define ONE_PROMISE_IS_ENOUGH       15
#define ABORT_UNPROPOSED            16
#define ALL_WITNESSES_NEEDED        17
#define PROMISED_FOR_EVER           18
/* ... a limit that is known ... */
#define SOLE_WITNESS_DEAD           20
#define TWO_WITNESSES_DEAD          21
/* ... or an assertion that something never happens, which does. */
#define SEEN_COMMIT                 30
#define SEEN_COMMIT_BY_RECOVERY     31
#define SEEN_ABORT_OF_ALL_YES       32
#define sight(name, what) assert(PLANTED != name || !(what))

#define none     0
#define unknown  0
mtype = { commit, abort, prepared, committed, aborted };

/* What a bank's database keeps of the payment (3, 4). No crash changes it. */
typedef Row {
    mtype state;        /* unknown, prepared, committed or aborted */
    byte promised;      /* the highest ballot that it promised as a witness, or used itself */
    byte ballot;        /* what it accepted last as a witness: under this ballot ... */
    mtype decision      /* ... this decision */
};
Row row[BANKS];

/* An attempt to bring about a decision, in the memory of one worker of one bank. Attempt 0 is the coordinator's, and
 * owns round 0; the others are recoveries. Several may be alive at once, also in one bank. */
typedef Attempt {
    byte ballot;        /* none before it begins; afterwards Ask(ballot) is in the air, except for attempt 0 */
    mtype proposal;     /* none, or Propose(ballot, proposal) is in the air */
    bool alive;         /* what follows is memory, and gone when the attempt dies */
    byte promises;      /* the witnesses whose Promised has come, a bit each */
    byte highest;       /* of what they had accepted, the highest ballot ... */
    mtype found;        /* ... and its decision */
    byte acceptances    /* the witnesses whose Accepted has come or may come, a bit each */
};
#define LAST RECOVERIES
#define CALM (RECOVERIES + 1)     /* one more, for the way out */
Attempt attempt[CALM + 1];

byte yes;               /* the banks whose Vote(yes) is in the air, a bit each */
mtype said;             /* the outcome that some bank has answered, told or written down */
mtype client;           /* what the client was answered */
bool doubt;             /* a bank voted no, or a vote was missing at the deadline, or recovery began */
byte b, i, n, p, r, v;  /* for use within one step */

/* A ballot is a round and a bank, ordered in that way (4.1). Ballot 1 is the coordinator's round 0. */
#define ballot_of(round, bank)  ((round) * BANKS + (bank) + 1)
#define round_of(ballot)        ((ballot) == none -> 0 : ((ballot) - 1) / BANKS)
#define bank_of(ballot)         (((ballot) - 1) % BANKS)
#define owner(a)                bank_of(attempt[a].ballot)

#define bit_of(bank)            (1 << (bank))
#define count(bits)             (((bits) & 1) + (((bits) >> 1) & 1) + (((bits) >> 2) & 1) + (((bits) >> 3) & 1))
#define is_participant(bank)    ((PARTICIPANTS >> (bank)) & 1)
#define is_witness(bank)        ((bank) < WITNESSES)
#define MAJORITY                (PLANTED == ALL_WITNESSES_NEEDED -> WITNESSES : WITNESSES / 2 + 1)
#define decided(bank)           (row[bank].state == committed || row[bank].state == aborted)

/* ---- The rules. Each is part of a step. ---- */

inline forget_ballots(bank) { row[bank].promised = none; row[bank].ballot = none; row[bank].decision = none }

inline answer_client(what) {
    assert(client == none || client == what);     /* or: the client was told otherwise */
    client = what
}

/* A decision is written down, told and answered: the table of section 3, and engine/settling.py. */
inline settle(bank, what) {
    printf("bank %d: knows the decision: %e\n", bank, what);
    sight(SEEN_COMMIT, what == commit);     /* or: it happens */
    sight(SEEN_ABORT_OF_ALL_YES, what == abort && yes == PARTICIPANTS);     /* or: it happens */

    /* Agreement (I2, I5, I8): whoever says an outcome, to whomever, says what was said before. */
    assert(said == none || said == what);     /* or: banks disagree */
    said = what;

    /* Validity (I3, 3.1): commit needs every yes, and every booking still placed; abort needs a cause. */
    assert(what == abort || yes == PARTICIPANTS);     /* or: a yes is missing */
    for (p : 0 .. BANKS - 1) {
        assert(what == abort || !is_participant(p) ||
            row[p].state == prepared || row[p].state == committed)     /* or: a booking is lost */
    }
    p = 0;
    assert(what == commit || doubt);     /* or: there was no cause for abort */

    row[bank].state = (what == commit -> committed : aborted);
    forget_ballots(bank);     /* a known decision is answered before any ballot is looked at (4.5) */

    /* The client is answered when the decision is durable at the coordinator (5.6). */
    if :: bank == 0 -> answer_client(what) :: else fi
}

/* Unless this holds, a witness answers Outbid (4.2, 4.3). */
#define not_outbid(bank, a) ((row[bank].promised <= attempt[a].ballot || PLANTED == LOWER_BALLOT_TAKEN) && \
    !(PLANTED == PROMISED_FOR_EVER && row[bank].promised != none && row[bank].promised != attempt[a].ballot))

/* A witness promises (4.2). */
inline promise(a, bank) {
    printf("bank %d: promises round %d of bank %d\n", bank, round_of(attempt[a].ballot), owner(a));
    row[bank].promised = attempt[a].ballot
}

/* The answer, Promised, comes to the attempt, and says what the witness had accepted (4.2, 6.2). */
inline report(a, bank) {
    attempt[a].promises = attempt[a].promises | bit_of(bank);
    if
    :: row[bank].ballot > attempt[a].highest || (PLANTED == LOWER_REPORT_TAKEN && row[bank].ballot != none) ->
        attempt[a].highest = row[bank].ballot; attempt[a].found = row[bank].decision
    :: else
    fi
}

/* A witness accepts, and promises in the same write. Two decisions under one ballot are a violation (4.3). */
inline accept(a, bank) {
    printf("bank %d: accepts %e in round %d of bank %d\n",
        bank, attempt[a].proposal, round_of(attempt[a].ballot), owner(a));
    assert(row[bank].ballot != attempt[a].ballot ||
        row[bank].decision == attempt[a].proposal);     /* or: one ballot has two decisions */
    if :: PLANTED != ACCEPTING_PROMISES_NOTHING -> row[bank].promised = attempt[a].ballot :: else fi;
    row[bank].ballot = attempt[a].ballot; row[bank].decision = attempt[a].proposal
}

/* It ends, or its worker crashes. What it sent stays in the air. */
inline die(a) {
    attempt[a].alive = false; attempt[a].acceptances = 0;
    attempt[a].promises = 0; attempt[a].highest = none; attempt[a].found = none
}

/* Recovery writes its ballot down before it is used; a bank that is a witness counts its own promise (4.1, 6.1). */
inline take_ballot(a, bank, round) {
    printf("bank %d: begins recovery, in its round %d\n", bank, round);
    attempt[a].ballot = ballot_of(round, bank); attempt[a].alive = true;
    row[bank].promised = attempt[a].ballot;
    doubt = true;
    if :: is_witness(bank) -> report(a, bank) :: else fi
}

/* A majority has promised: what they had accepted under the highest ballot is proposed, or else abort (6.2). */
inline propose(a) {
    attempt[a].proposal = (attempt[a].found == none -> abort : attempt[a].found);
    printf("bank %d: proposes %e in its round %d\n", owner(a), attempt[a].proposal, round_of(attempt[a].ballot));
    attempt[a].promises = 0; attempt[a].highest = none; attempt[a].found = none
}

/* The others' acceptances and its own, written in the same step as the decision, make a majority; or, if it has
 * promised a higher ballot meanwhile, perhaps not (5.4, 6.3); engine/concluding.py `accept`. */
#define may_conclude(a) (attempt[a].alive && attempt[a].proposal != none && \
    count(attempt[a].acceptances) + is_witness(owner(a)) >= MAJORITY)
inline conclude(a) {
    n = count(attempt[a].acceptances);
    if
    :: !decided(owner(a)) && is_witness(owner(a)) && not_outbid(owner(a), a) -> accept(a, owner(a)); n++
    :: else
    fi;
    if
    :: !decided(owner(a)) && n >= MAJORITY ->
        sight(SEEN_COMMIT_BY_RECOVERY, a > 0 && attempt[a].proposal == commit);     /* or: it happens */
        settle(owner(a), attempt[a].proposal)
    :: else
    fi;
    n = 0; die(a)
}

/* ---- What comes to a bank from others. ---- */

/* Ask comes to a witness that knows no decision; it promises, and its answer comes back (4.2). */
#define may_answer(me, a) (is_witness(me) && !decided(me) && me != owner(a) && not_outbid(me, a))
#define asks(a)           (a > 0 && attempt[a].ballot != none)
inline hear_ask(me, a) {
    d_step { asks(a) && may_answer(me, a) && attempt[a].alive && attempt[a].proposal == none &&
        !(attempt[a].promises & bit_of(me)) -> promise(a, me); report(a, me) }
}

/* The same, but its answer is lost, or comes when nobody waits for it. */
inline hear_ask_in_vain(me, a) {
    d_step { asks(a) && may_answer(me, a) && row[me].promised != attempt[a].ballot -> promise(a, me) }
}

/* Propose comes (4.3). Accepted counts for its own ballot only (2.2). */
inline hear_propose(me, a) {
    d_step { attempt[a].proposal != none && may_answer(me, a) ->
        if :: PLANTED != ANSWER_BEFORE_WRITE -> accept(a, me) :: else fi;
        for (i : 0 .. LAST) {
            if
            :: attempt[i].alive && (i == a || (PLANTED == ANY_BALLOT_COUNTS && owner(i) == owner(a))) ->
                attempt[i].acceptances = attempt[i].acceptances | bit_of(me)
            :: else
            fi
        }
        i = 0 }
}

#if RECOVERIES == 1
#define from_each_attempt(hear) :: hear(me, 0) :: hear(me, 1)
#elif RECOVERIES == 2
#define from_each_attempt(hear) :: hear(me, 0) :: hear(me, 1) :: hear(me, 2)
#else
#define from_each_attempt(hear) :: hear(me, 0) :: hear(me, 1) :: hear(me, 2) :: hear(me, 3)
#endif

proctype Bank(byte me) {
end:    do
    /* Prepare comes, and we are able, or not, or the deadline has passed. A later Prepare changes nothing, and is
     * answered as the first was: those rows of section 3 need no step here. */
    :: d_step { is_participant(me) && row[me].state == unknown ->
        printf("bank %d: votes yes\n", me);
        row[me].state = prepared; yes = yes | bit_of(me) }
    :: d_step { is_participant(me) && row[me].state == unknown ->
        printf("bank %d: votes no\n", me);
        doubt = true; settle(me, abort) }

    /* Tell comes, or Decided as an answer (4.5, 5.6, 6.3, 6.4, 6.6). What one bank knows may reach any other. */
    :: d_step { said != none && !decided(me) -> settle(me, said) }

    from_each_attempt(hear_ask)
    from_each_attempt(hear_ask_in_vain)
    from_each_attempt(hear_propose)

    /* A sole witness is asked about what it has not decided, or comes upon it after its attempt died: abort (5.5). */
    :: d_step { WITNESSES == 1 && me == 0 && !decided(0) -> doubt = true; settle(0, abort) }

    /* Planted: the database loses what it had said was durable (3.2, 3.6, 4.6). */
    :: d_step { PLANTED == YES_FORGOTTEN && me > 0 && row[me].state == prepared -> row[me].state = unknown }
    :: d_step { PLANTED == DECISION_FORGOTTEN && me > 0 && row[me].state == aborted -> row[me].state = unknown }
    :: d_step { PLANTED == ROW_FORGOTTEN && !decided(me) && row[me].promised != none -> forget_ballots(me) }
    od
}

/* ---- What a bank does by itself. ---- */

/* The attempt that began the payment (5.2 to 5.6). Prepare is in the air. */
proctype Coordinator() {
end:    do
    /* Every yes has come: commit, and nothing else is ever proposed in round 0 (5.3). A sole witness reads its row,
     * and decides (5.5). */
    :: d_step { attempt[0].alive && attempt[0].proposal == none &&
        (yes == PARTICIPANTS || (PLANTED == YES_MISSING && count(yes) + 1 == count(PARTICIPANTS))) ->
        if :: PLANTED == CLIENT_TOLD_EARLY -> answer_client(commit) :: else fi;
        if
        :: WITNESSES > 1 -> printf("bank 0: proposes commit in its round 0\n"); attempt[0].proposal = commit
        :: WITNESSES == 1 && (!decided(0) || PLANTED == ROW_NOT_READ) -> settle(0, commit); die(0)
        :: else -> die(0)
        fi }

    /* A no has come, or a vote is missing at the deadline: abort, alone, for nobody else brings in commit (5.3). */
    :: d_step { (attempt[0].alive && (attempt[0].proposal == none || PLANTED == ABORT_AFTER_COMMIT)) ||
        (!attempt[0].alive && PLANTED == ROUND_0_BY_ANOTHER) ->
        printf("bank 0: misses a vote, or hears a no\n");
        doubt = true;
        if :: !decided(0) -> settle(0, abort) :: else fi;
        die(0) }

    :: d_step { may_conclude(0) -> conclude(0) }
    :: d_step { attempt[0].alive -> printf("bank 0: its attempt dies\n"); die(0) }
    od
}

/* A bank that is undecided recovers: a participant that voted yes, or the coordinator (6). */
#define in_doubt(bank) (row[bank].state == prepared)

proctype Recovery(byte a) {
    byte bank, round;
end:    atomic { attempt[a - 1].ballot != none &&
        (in_doubt(0) || in_doubt(1) || in_doubt(2) || in_doubt(BANKS - 1)) ->
        if
        :: in_doubt(0) -> bank = 0
        :: in_doubt(1) -> bank = 1
        :: in_doubt(2) -> bank = 2
        :: in_doubt(BANKS - 1) -> bank = BANKS - 1
        fi;
        /* A round above all that the bank has used, and any higher one, for it may have seen others (4.1). */
        round = round_of(row[bank].promised) + 1;
        if
        :: PLANTED == BALLOT_SHARED && round > 1 && bank_of(row[bank].promised) == bank -> round--
        :: else
        fi;
        do :: round < a -> round++ :: break od;
        d_step { take_ballot(a, bank, round); bank = 0; round = 0 } }

end_2:  do
    :: d_step { attempt[a].alive && attempt[a].proposal == none &&
        count(attempt[a].promises) >= (PLANTED == ONE_PROMISE_IS_ENOUGH -> 1 : MAJORITY) ->
        if
        :: PLANTED == ABORT_UNPROPOSED && attempt[a].found == none -> settle(owner(a), abort); die(a)
        :: else -> propose(a)
        fi }
    :: d_step { may_conclude(a) -> conclude(a) }
    :: d_step { attempt[a].alive ->
        printf("bank %d: its recovery in round %d dies\n", owner(a), round_of(attempt[a].ballot)); die(a) }
    od
}

/* ---- The way out (I7). ---- */

/* From now on one bank is dead for ever, and nothing else goes wrong: no message is lost, and what is late stays
 * away. One after the other, whichever is first, each living bank in doubt recovers once. Then none is in doubt. This
 * may begin in any state that can be reached, and ends the search there. */
#define is_dead(bank) ((bank) == dead || (PLANTED == TWO_WITNESSES_DEAD && (bank) == (dead + 1) % WITNESSES))
#define is_heard_by(bank, who) ((who) != (bank) && !is_dead(who) && not_outbid(who, CALM))

inline recover_undisturbed(bank) {
    /* The sole witness is asked, or asks itself (5.5). */
    if :: WITNESSES == 1 && !is_dead(0) && !decided(0) -> doubt = true; settle(0, abort) :: else fi;

    /* A living witness that knows the decision answers with it (6.4). */
    for (v : 0 .. WITNESSES - 1) {
        if
        :: !is_dead(v) && decided(v) && !decided(bank) -> settle(bank, (row[v].state == committed -> commit : abort))
        :: else
        fi
    }

    /* Otherwise a ballot above all, which an Outbid would have led to, and 6.1 to 6.3. */
    if
    :: WITNESSES > 1 && !decided(bank) ->
        r = 0;
        for (v : 0 .. BANKS - 1) {
            r = (round_of(row[v].promised) > r -> round_of(row[v].promised) : r)
        }
        take_ballot(CALM, bank, r + 1);
        for (v : 0 .. WITNESSES - 1) {
            if :: is_heard_by(bank, v) -> promise(CALM, v); report(CALM, v) :: else fi
        }
        if
        :: count(attempt[CALM].promises) >= MAJORITY ->
            propose(CALM);
            for (v : 0 .. WITNESSES - 1) {
                if
                :: is_heard_by(bank, v) ->
                    accept(CALM, v);
                    attempt[CALM].acceptances = attempt[CALM].acceptances | bit_of(v)
                :: else
                fi
            }
            conclude(CALM)
        :: else -> die(CALM)
        fi;
        attempt[CALM].proposal = none
    :: else
    fi
}

proctype Calm() {
    byte dead, first;
end:    do
    :: atomic { true ->
        select (dead : 0 .. BANKS - 1);
        select (first : 0 .. BANKS - 1);
        if
        /* That a sole witness is dead for ever is the limit that 1.3 accepts. */
        :: dead != first && (WITNESSES > 1 || dead > 0 || PLANTED == SOLE_WITNESS_DEAD) -> d_step {
            printf("bank %d: is dead from now on, and nothing else goes wrong\n", dead);
            for (i : 0 .. BANKS - 1) {
                b = (first + i) % BANKS;
                if :: !is_dead(b) && in_doubt(b) -> recover_undisturbed(b) :: else fi
            }
            for (b : 0 .. BANKS - 1) {
                assert(is_dead(b) || !in_doubt(b))     /* or: a living bank stays in doubt */
            }

            /* All ends are made one and the same, so that they cost nothing. */
            for (b : 0 .. BANKS - 1) { row[b].state = aborted; forget_ballots(b) }
            for (i : 0 .. CALM) { attempt[i].ballot = none; attempt[i].proposal = none; die(i) }
            yes = 0; said = abort; client = none; doubt = false; b = 0; i = 0; r = 0; v = 0 }
        :: else
        fi;
        dead = 0; first = 0 }
    od
}

/* The coordinator has begun (5.1): its own bookings are placed, and its attempt lives. */
init {
    atomic {
        row[0].state = prepared; yes = PARTICIPANTS & 1;
        attempt[0].ballot = ballot_of(0, 0); attempt[0].alive = true;
        for (i : 0 .. BANKS - 1) { run Bank(i) }
        run Coordinator();
        if :: WITNESSES > 1 -> for (i : 1 .. LAST) { run Recovery(i) } :: else fi;
        if :: WAY_OUT -> run Calm() :: else fi;
        i = 0
    }
}
