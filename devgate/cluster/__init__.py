"""Links between the nodes of a cluster: one side opens them, the other has a door for them."""
