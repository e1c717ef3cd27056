"""One bank's tables, described once for SQLite and PostgreSQL.

Times are milliseconds, money is minor units, both in 64-bit integers. Payments' ids sort by time, and what is written
for each payment is kept in that order wherever it can be. What is rare is indexed only where it is set.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Sequence,
    Table,
    Text,
)

metadata = MetaData()

# Compared character by character, whatever the database's language: ids sort as Python sorts them.
TEXT = Text().with_variant(Text(collation="C"), "postgresql")

bank = Table(
    "bank",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("ispb", TEXT, nullable=False),
    Column("height", BigInteger, nullable=False),
)
"""One row: whose book this is. On PostgreSQL the height is the sequence below, so that workers do not queue for it."""

height = Sequence("height", metadata=metadata)

customers = Table(
    "customers",
    metadata,
    Column("document", TEXT, primary_key=True),
    Column("name", TEXT, nullable=False),
    Column("individual", TEXT),
    Column("created_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

secrets = Table(
    "secrets",
    metadata,
    Column("document", TEXT, ForeignKey("customers.document"), primary_key=True),
    Column("password_hash", TEXT, nullable=False),
    Column("email", TEXT),
    Column("phone", TEXT),
    sqlite_with_rowid=False,
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("id", TEXT, nullable=False),
    Column("document", TEXT, ForeignKey("customers.document"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("address", TEXT),
    Column("agent", TEXT),
    Index("sessions_by_document", "document"),
    Index("sessions_by_end", "expires_at"),
    sqlite_with_rowid=False,
)

attempts = Table(
    "attempts",
    metadata,
    Column("whose", TEXT, primary_key=True),
    Column("forgotten_at", BigInteger, nullable=False),
    Column("blocked_until", BigInteger, nullable=False),
    Index("attempts_by_end", "forgotten_at"),
    sqlite_with_rowid=False,
)
"""To sign in, by document and by address; a row that is forgotten says nothing any more."""

second_factors = Table(
    "second_factors",
    metadata,
    Column("document", TEXT, ForeignKey("customers.document"), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("confirmed_at", BigInteger),
    Column("used_step", BigInteger, nullable=False),
    Column("used_for", TEXT, nullable=False),
    Column("recovery", TEXT, nullable=False),
    Column("payments_from", BigInteger),
    Column("at_login", Integer, nullable=False),
    Column("unguarded", BigInteger, nullable=False),
    Column("unguarded_since", BigInteger, nullable=False),
    Column("forgotten_at", BigInteger, nullable=False),
    Column("blocked_until", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

keys = Table(
    "keys",
    metadata,
    Column("scope", TEXT, nullable=False),
    Column("key", TEXT, nullable=False),
    Column("body", TEXT, nullable=False),
    Column("made", TEXT),
    Column("denial", TEXT),
    Column("used_at", BigInteger, nullable=False),
    Index("keys_by_age", "used_at"),
    PrimaryKeyConstraint("scope", "key"),
    sqlite_with_rowid=False,
)

payments = Table(
    "payments",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("kind", TEXT, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("clauses", TEXT, nullable=False),
    Column("payer", TEXT),
    Column("description", TEXT),
    Column("reference", TEXT),
    Column("created_at", BigInteger, nullable=False),
    Column("decided_at", BigInteger),
    Column("refusal", TEXT),
    Column("digest", TEXT),
    Column("header", TEXT),
    Column("promised", TEXT),
    Column("accepted", TEXT),
    Column("untold", TEXT),
    Column("due", BigInteger),
    Column("counted", TEXT),
    sqlite_with_rowid=False,
)
Index("payments_by_payer", payments.c.payer, payments.c.id)
Index(
    "payments_due",
    payments.c.due,
    payments.c.id,
    sqlite_where=payments.c.due.is_not(None),
    postgresql_where=payments.c.due.is_not(None),
)

mandates = Table(
    "mandates",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("account", TEXT, nullable=False),
    Column("giver", TEXT, nullable=False),
    Column("initiator", TEXT, nullable=False),
    Column("payer", TEXT, nullable=False),
    Column("scopes", TEXT, nullable=False),
    Column("per_payment", BigInteger),
    Column("total", BigInteger),
    Column("used", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("approved_at", BigInteger),
    Column("per_day", BigInteger),
    Column("starts_at", BigInteger),
    Column("paused_at", BigInteger),
    Index("mandates_by_giver", "giver", "id"),
    Index("mandates_by_account", "account"),
    sqlite_with_rowid=False,
)

uses = Table(
    "uses",
    metadata,
    Column("mandate", TEXT, nullable=False),
    Column("used_at", BigInteger, nullable=False),
    Column("payment", TEXT, nullable=False),
    Column("amount", BigInteger, nullable=False),
    PrimaryKeyConstraint("mandate", "used_at", "payment"),
    sqlite_with_rowid=False,
)
"""Append-only. What became of each use is the payment's state."""

accounts = Table(
    "accounts",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("kind", TEXT, nullable=False),
    Column("status", TEXT, nullable=False),
    Column("signatures", TEXT),
    Column("holders", TEXT, nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("incoming", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False),
    Column("ceiling", BigInteger, nullable=False),
    Column("entries", BigInteger, nullable=False),
    Column("latest", TEXT),
    Column("opened_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

holdings = Table(
    "holdings",
    metadata,
    Column("document", TEXT, nullable=False),
    Column("account", TEXT, ForeignKey("accounts.id"), nullable=False),
    PrimaryKeyConstraint("document", "account"),
    sqlite_with_rowid=False,
)
"""An index of `accounts.holders`, which never change."""

links = Table(
    "links",
    metadata,
    Column("owner", TEXT, nullable=False),
    Column("account", TEXT, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("scopes", TEXT, nullable=False),
    Column("shown", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("owner", "account"),
    sqlite_with_rowid=False,
)

approvals = Table(
    "approvals",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("subject", TEXT, nullable=False),
    Column("asker", TEXT, nullable=False),
    Column("parties", TEXT, nullable=False),
    Column("approved", TEXT, nullable=False),
    Column("refused_by", TEXT),
    Column("sealed", LargeBinary),
    Column("asked_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    sqlite_with_rowid=False,
)
Index(
    "approvals_open",
    approvals.c.expires_at,
    sqlite_where=approvals.c.ended_at.is_(None),
    postgresql_where=approvals.c.ended_at.is_(None),
)

awaited = Table(
    "awaited",
    metadata,
    Column("document", TEXT, nullable=False),
    Column("approval", TEXT, nullable=False),
    PrimaryKeyConstraint("document", "approval"),
    sqlite_with_rowid=False,
)
"""An index of the open `approvals`: whose signature is still missing."""

queues = Table(
    "queues",
    metadata,
    Column("account", TEXT, primary_key=True),
    Column("waiting", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

limits = Table(
    "limits",
    metadata,
    Column("account", TEXT, ForeignKey("accounts.id"), primary_key=True),
    Column("per_transfer", BigInteger),
    Column("per_transfer_raised_to", BigInteger),
    Column("per_transfer_raised_at", BigInteger),
    Column("per_day", BigInteger),
    Column("per_day_raised_to", BigInteger),
    Column("per_day_raised_at", BigInteger),
    Column("per_night", BigInteger),
    Column("per_night_raised_to", BigInteger),
    Column("per_night_raised_at", BigInteger),
    sqlite_with_rowid=False,
)
"""What holders chose; an account whose holders chose nothing has no row."""

spent = Table(
    "spent",
    metadata,
    Column("taken_from", TEXT, nullable=False),
    Column("period", TEXT, nullable=False),
    Column("amount", BigInteger, nullable=False),
    PrimaryKeyConstraint("taken_from", "period"),
    sqlite_with_rowid=False,
)
"""Kept for ever, so that a clock that jumps finds what was spent in whatever day it comes to."""

entries = Table(
    "entries",
    metadata,
    Column("payment", TEXT, nullable=False),
    Column("account", TEXT, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("previous", TEXT),
    Column("amount", BigInteger, nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("counterpart", TEXT, nullable=False),
    Column("booked_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("payment", "account", "number"),
    sqlite_with_rowid=False,
)
"""New rows stand together, whatever accounts they are of: a page of the file takes many of them. Each names the payment
of the account's entry before it, and the account that of its newest."""

marks = Table(
    "marks",
    metadata,
    Column("account", TEXT, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("payment", TEXT, nullable=False),
    PrimaryKeyConstraint("account", "number"),
    sqlite_with_rowid=False,
)
"""Every 64th entry of an account: from the next one, any entry is a few steps back."""

heights = Table(
    "heights",
    metadata,
    Column("ispb", TEXT, primary_key=True),
    Column("height", BigInteger, nullable=False),
    Column("stamp", TEXT, nullable=False),
    sqlite_with_rowid=False,
)

violations = Table(
    "violations",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("peer", TEXT, nullable=False),
    Column("payment", TEXT, nullable=False),
    Column("reason", TEXT, nullable=False),
)

operators = Table(
    "operators",
    metadata,
    Column("name", TEXT, primary_key=True),
    Column("role", TEXT, nullable=False),
    Column("cash_limit", BigInteger),
    Column("token_hash", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("added_by", TEXT, nullable=False),
    Column("added_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    sqlite_with_rowid=False,
)

proposals = Table(
    "proposals",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("what", TEXT, nullable=False),
    Column("deed", TEXT, nullable=False),
    Column("by", TEXT, nullable=False),
    Column("proposed_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("status", TEXT, nullable=False),
    Column("decided_by", TEXT),
    Column("decided_at", BigInteger),
    Column("outcome", TEXT),
    sqlite_with_rowid=False,
)
"""`what` says as which of an operator's deeds `deed` is to be read."""

actions = Table(
    "actions",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("operator", TEXT, nullable=False),
    Column("action", TEXT, nullable=False),
    Column("subject", TEXT, nullable=False),
    Column("terms", TEXT, nullable=False),
    Column("outcome", TEXT, nullable=False),
    sqlite_with_rowid=False,
)
"""What operators did and tried: only ever added to."""

peer_limits = Table(
    "peer_limits",
    metadata,
    Column("ispb", TEXT, primary_key=True),
    Column("credit_limit", BigInteger, nullable=False),
    Column("set_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""What a peer may owe this bank, where an operator has said so: it stands over the settings' figure."""

folios = Table(
    "folios",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("contents", LargeBinary, nullable=False),
)
"""The chain (`chain.py`): one row for each transaction that wrote anything of money or rights. Only ever added to."""

heads = Table(
    "heads",
    metadata,
    Column("ispb", TEXT, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("kept_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("ispb", "number"),
    sqlite_with_rowid=False,
)
"""The peers' chain heads, as they signed them: all of a day, and of each hour before the last, for a year. None is ever
replaced, whatever the peer says later; the signature guards each."""

disputes = Table(
    "disputes",
    metadata,
    Column("ispb", TEXT, nullable=False),
    Column("holder", TEXT, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("shown", LargeBinary),
    Column("seen_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("ispb", "holder", "number"),
    sqlite_with_rowid=False,
)
"""Bank `ispb` signed a head that its chain does not bear out any more; `holder` has the copy, and here it is again.
`shown`: what it says of that number now; nothing, if its chain is shorter."""
