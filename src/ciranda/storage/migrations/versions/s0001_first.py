"""The first schema: everything in one step."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    # The height: a sequence, so that the workers of one bank do not queue for a row.
    if op.get_context().dialect.name == "postgresql":
        op.execute(sa.schema.CreateSequence(sa.Sequence("height")))

    op.create_table(
        "accounts",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("signatures", TEXT, nullable=True),
        sa.Column("holders", TEXT, nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("incoming", sa.BigInteger(), nullable=False),
        sa.Column("floor", sa.BigInteger(), nullable=False),
        sa.Column("ceiling", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("latest", TEXT, nullable=True),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "approvals",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("asker", TEXT, nullable=False),
        sa.Column("parties", TEXT, nullable=False),
        sa.Column("approved", TEXT, nullable=False),
        sa.Column("refused_by", TEXT, nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "approvals_open",
        "approvals",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "attempts",
        sa.Column("whose", TEXT, nullable=False),
        sa.Column("forgotten_at", sa.BigInteger(), nullable=False),
        sa.Column("blocked_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("whose"),
        sqlite_with_rowid=False,
    )
    op.create_index("attempts_by_end", "attempts", ["forgotten_at"], unique=False)
    op.create_table(
        "awaited",
        sa.Column("document", TEXT, nullable=False),
        sa.Column("approval", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("document", "approval"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bank",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ispb", TEXT, nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "customers",
        sa.Column("document", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("individual", TEXT, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("document"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "entries",
        sa.Column("payment", TEXT, nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("previous", TEXT, nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("counterpart", TEXT, nullable=False),
        sa.Column("booked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("payment", "account", "number"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "heights",
        sa.Column("ispb", TEXT, nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("stamp", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("ispb"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "keys",
        sa.Column("scope", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.Column("made", TEXT, nullable=True),
        sa.Column("denial", TEXT, nullable=True),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("keys_by_age", "keys", ["used_at"], unique=False)
    op.create_table(
        "links",
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", TEXT, nullable=False),
        sa.Column("shown", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "account"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "mandates",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.Column("giver", TEXT, nullable=False),
        sa.Column("initiator", TEXT, nullable=False),
        sa.Column("payer", TEXT, nullable=False),
        sa.Column("scopes", TEXT, nullable=False),
        sa.Column("per_payment", sa.BigInteger(), nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("approved_at", sa.BigInteger(), nullable=True),
        sa.Column("per_day", sa.BigInteger(), nullable=True),
        sa.Column("starts_at", sa.BigInteger(), nullable=True),
        sa.Column("paused_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index("mandates_by_giver", "mandates", ["giver", "id"], unique=False)
    op.create_index("mandates_by_account", "mandates", ["account"], unique=False)
    op.create_table(
        "marks",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("payment", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("account", "number"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "payments",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("clauses", TEXT, nullable=False),
        sa.Column("payer", TEXT, nullable=True),
        sa.Column("description", TEXT, nullable=True),
        sa.Column("reference", TEXT, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("refusal", TEXT, nullable=True),
        sa.Column("digest", TEXT, nullable=True),
        sa.Column("header", TEXT, nullable=True),
        sa.Column("promised", TEXT, nullable=True),
        sa.Column("accepted", TEXT, nullable=True),
        sa.Column("untold", TEXT, nullable=True),
        sa.Column("due", sa.BigInteger(), nullable=True),
        sa.Column("counted", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index("payments_by_payer", "payments", ["payer", "id"], unique=False)
    op.create_index(
        "payments_due",
        "payments",
        ["due", "id"],
        unique=False,
        sqlite_where=sa.text("due IS NOT NULL"),
        postgresql_where=sa.text("due IS NOT NULL"),
    )
    op.create_table(
        "queues",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("waiting", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "spent",
        sa.Column("taken_from", TEXT, nullable=False),
        sa.Column("period", TEXT, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("taken_from", "period"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "uses",
        sa.Column("mandate", TEXT, nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.Column("payment", TEXT, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("mandate", "used_at", "payment"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "violations",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("peer", TEXT, nullable=False),
        sa.Column("payment", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "holdings",
        sa.Column("document", TEXT, nullable=False),
        sa.Column("account", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["account"],
            ["accounts.id"],
        ),
        sa.PrimaryKeyConstraint("document", "account"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "limits",
        sa.Column("account", TEXT, nullable=False),
        sa.Column("per_transfer", sa.BigInteger(), nullable=True),
        sa.Column("per_transfer_raised_to", sa.BigInteger(), nullable=True),
        sa.Column("per_transfer_raised_at", sa.BigInteger(), nullable=True),
        sa.Column("per_day", sa.BigInteger(), nullable=True),
        sa.Column("per_day_raised_to", sa.BigInteger(), nullable=True),
        sa.Column("per_day_raised_at", sa.BigInteger(), nullable=True),
        sa.Column("per_night", sa.BigInteger(), nullable=True),
        sa.Column("per_night_raised_to", sa.BigInteger(), nullable=True),
        sa.Column("per_night_raised_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account"],
            ["accounts.id"],
        ),
        sa.PrimaryKeyConstraint("account"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "secrets",
        sa.Column("document", TEXT, nullable=False),
        sa.Column("password_hash", TEXT, nullable=False),
        sa.Column("email", TEXT, nullable=True),
        sa.Column("phone", TEXT, nullable=True),
        sa.ForeignKeyConstraint(
            ["document"],
            ["customers.document"],
        ),
        sa.PrimaryKeyConstraint("document"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "second_factors",
        sa.Column("document", TEXT, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=True),
        sa.Column("used_step", sa.BigInteger(), nullable=False),
        sa.Column("used_for", TEXT, nullable=False),
        sa.Column("recovery", TEXT, nullable=False),
        sa.Column("payments_from", sa.BigInteger(), nullable=True),
        sa.Column("at_login", sa.Integer(), nullable=False),
        sa.Column("unguarded", sa.BigInteger(), nullable=False),
        sa.Column("unguarded_since", sa.BigInteger(), nullable=False),
        sa.Column("forgotten_at", sa.BigInteger(), nullable=False),
        sa.Column("blocked_until", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["document"],
            ["customers.document"],
        ),
        sa.PrimaryKeyConstraint("document"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("document", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("address", TEXT, nullable=True),
        sa.Column("agent", TEXT, nullable=True),
        sa.ForeignKeyConstraint(
            ["document"],
            ["customers.document"],
        ),
        sa.PrimaryKeyConstraint("token_hash"),
        sqlite_with_rowid=False,
    )
    op.create_index("sessions_by_document", "sessions", ["document"], unique=False)
    op.create_index("sessions_by_end", "sessions", ["expires_at"], unique=False)
    op.create_table(
        "operators",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("cash_limit", sa.BigInteger(), nullable=True),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("added_by", TEXT, nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "proposals",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("what", TEXT, nullable=False),
        sa.Column("deed", TEXT, nullable=False),
        sa.Column("by", TEXT, nullable=False),
        sa.Column("proposed_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("decided_by", TEXT, nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "actions",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("operator", TEXT, nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("terms", TEXT, nullable=False),
        sa.Column("outcome", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "peer_limits",
        sa.Column("ispb", TEXT, nullable=False),
        sa.Column("credit_limit", sa.BigInteger(), nullable=False),
        sa.Column("set_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("ispb"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "folios",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("contents", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "heads",
        sa.Column("ispb", TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("kept_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("ispb", "number"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "disputes",
        sa.Column("ispb", TEXT, nullable=False),
        sa.Column("holder", TEXT, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("shown", sa.LargeBinary(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("ispb", "holder", "number"),
        sqlite_with_rowid=False,
    )
