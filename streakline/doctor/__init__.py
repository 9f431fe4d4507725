"""`streakline doctor`: what is right and wrong with what Streakline stands on, one file a subject."""
