"""The database engine: that of django-tenants, which asks less to know that a connection is there."""
