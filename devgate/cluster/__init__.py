"""Nodes of a cluster to one another: the links that one opens, the door that it answers at."""
