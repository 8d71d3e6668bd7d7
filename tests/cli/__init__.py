"""The CLI against a real Unix socket, in this process and in one of its own."""
