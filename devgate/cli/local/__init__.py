"""Commands that work on files or the database, or run a gateway, instead of asking one."""
