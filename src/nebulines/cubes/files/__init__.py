"""What a run leaves: maps, models, tables, and the journal of an unfinished one."""
