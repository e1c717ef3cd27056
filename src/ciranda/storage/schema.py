"""One bank's tables, described once for SQLite and PostgreSQL.

Times are milliseconds, money is minor units, both in 64-bit integers. A statement line is found by account and number,
so `entries` needs no index but its key; so do `keys`. What is rare is indexed only where it is set.
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

bank = Table(
    "bank",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("ispb", Text, nullable=False),
    Column("height", BigInteger, nullable=False),
)
"""One row: whose book this is. On PostgreSQL the height is the sequence below, so that workers do not queue for it."""

height = Sequence("height", metadata=metadata)

customers = Table(
    "customers",
    metadata,
    Column("document", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("individual", Text),
    Column("created_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

secrets = Table(
    "secrets",
    metadata,
    Column("document", Text, ForeignKey("customers.document"), primary_key=True),
    Column("password_hash", Text, nullable=False),
    Column("email", Text),
    Column("phone", Text),
    sqlite_with_rowid=False,
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("document", Text, ForeignKey("customers.document"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

failures = Table(
    "failures",
    metadata,
    Column("document", Text, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("blocked_until", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

keys = Table(
    "keys",
    metadata,
    Column("scope", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("made", Text),
    Column("denial", Text),
    Column("used_at", BigInteger, nullable=False),
    Index("keys_by_age", "used_at"),
    PrimaryKeyConstraint("scope", "key"),
    sqlite_with_rowid=False,
)

payments = Table(
    "payments",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("clauses", Text, nullable=False),
    Column("payer", Text),
    Column("description", Text),
    Column("reference", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("decided_at", BigInteger),
    Column("refusal", Text),
    Column("digest", Text),
    Column("header", Text),
    Column("promised", Text),
    Column("accepted", Text),
    Column("untold", Text),
    Column("due", BigInteger),
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
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("giver", Text, nullable=False),
    Column("initiator", Text, nullable=False),
    Column("payer", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("per_payment", BigInteger),
    Column("total", BigInteger),
    Column("used", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Index("mandates_by_giver", "giver", "id"),
    sqlite_with_rowid=False,
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("signatures", Text),
    Column("holders", Text, nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("incoming", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False),
    Column("ceiling", BigInteger, nullable=False),
    Column("entries", BigInteger, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

holdings = Table(
    "holdings",
    metadata,
    Column("document", Text, nullable=False),
    Column("account", Text, ForeignKey("accounts.id"), nullable=False),
    PrimaryKeyConstraint("document", "account"),
    sqlite_with_rowid=False,
)
"""An index of `accounts.holders`, which never change."""

links = Table(
    "links",
    metadata,
    Column("owner", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("shown", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("owner", "account"),
    sqlite_with_rowid=False,
)

entries = Table(
    "entries",
    metadata,
    Column("account", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("payment", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("counterpart", Text, nullable=False),
    Column("booked_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("account", "number"),
    sqlite_with_rowid=False,
)

heights = Table(
    "heights",
    metadata,
    Column("ispb", Text, primary_key=True),
    Column("height", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

violations = Table(
    "violations",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("peer", Text, nullable=False),
    Column("payment", Text, nullable=False),
    Column("reason", Text, nullable=False),
)
