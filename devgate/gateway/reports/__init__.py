"""Reports: counts by day, site and machine, and the history of one device."""
