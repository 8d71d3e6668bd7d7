"""devgate.gateway.nodes, with a real database and no sockets between nodes."""
