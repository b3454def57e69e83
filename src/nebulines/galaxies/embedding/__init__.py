"""Where a continuum lies on the map of all continua."""
