"""What the run report and the dashboard share: the template environment, the style, and the scripts that draw."""
