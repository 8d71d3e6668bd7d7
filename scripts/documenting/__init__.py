"""The documentation site: what scripts/site builds from docs/ and from the program itself."""
