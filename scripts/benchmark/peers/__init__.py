"""The peers of the bench: other servers with the same exchange and none of the promises."""
