"""What Streakline costs and how fast it is: ``make bench``."""
