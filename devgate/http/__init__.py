"""HTTP: the API, streams of events, and the dashboard."""
