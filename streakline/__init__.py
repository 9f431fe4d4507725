"""Streakline: watches training runs while they train and explains what they changed when they end."""
