"""Who may ask for what: tokens, users, and the files that name them."""
