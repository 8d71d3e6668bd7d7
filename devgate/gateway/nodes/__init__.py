"""What a gateway does otherwise when it is one node of a cluster."""
