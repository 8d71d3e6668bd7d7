"""What the product can do: connections, commands, operations."""
