"""``python -m streakline`` is the `streakline` command."""

from streakline.cli.main import main

main()
