"""The pages that are made of the program: what it says of itself, in both languages."""
