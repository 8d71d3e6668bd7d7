"""What is different in a gateway that is a node of a cluster."""
