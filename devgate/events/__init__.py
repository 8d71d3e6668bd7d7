"""Events: one numbered log of what happened, which callers can follow."""
