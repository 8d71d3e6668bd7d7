"""What the documents say of each call besides its table: its name, its subject, an example."""
