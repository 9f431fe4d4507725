"""A detector, a scorer and a format of SAEs for Streakline; `docs/extending.md` explains them."""
