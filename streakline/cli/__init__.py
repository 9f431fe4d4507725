"""The `streakline` command."""
