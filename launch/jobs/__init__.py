"""Jobs: what launchers do to one architecture after the other, and the one loop that does them all."""
