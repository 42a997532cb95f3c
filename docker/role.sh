#!/bin/sh
# The role must not be a superuser, which row-level security doesn't bind.
psql -U postgres -v password="$POSTGRES_PASSWORD" <<'SQL'
CREATE ROLE eim LOGIN PASSWORD :'password';
CREATE DATABASE eim OWNER eim;
SQL
