"""Examples of each call for the documents, with its name and its subject."""
