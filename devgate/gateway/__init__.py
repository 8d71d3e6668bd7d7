"""The functions of the gateway: device connections, commands, operations."""
