"""The gateway on the web: an API, events as they happen, and pages for people."""
