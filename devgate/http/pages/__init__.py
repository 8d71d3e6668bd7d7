"""The dashboard: pages for people, rendered here. A small script shows changes in them."""
