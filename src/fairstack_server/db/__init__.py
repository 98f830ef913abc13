"""The store: PostgreSQL run by us or by the operator, its pool, its migrations, coalesced requests."""
