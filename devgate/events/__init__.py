"""What happened: one numbered log that anybody may follow."""
