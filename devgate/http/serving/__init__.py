"""Connections of the web: from the first byte to the last, within bounds."""
