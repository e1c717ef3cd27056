"""Runs Alembic's steps on the connection that `storage.migration` opened."""

from alembic import context

from ciranda.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
