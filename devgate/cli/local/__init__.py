"""Commands that work on files, on the database, or as a gateway, and not by a socket alone."""
