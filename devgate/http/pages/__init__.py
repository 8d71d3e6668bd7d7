"""The dashboard: pages for people, rendered here, live by a small script."""
