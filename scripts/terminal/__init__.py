"""The parts of scripts/watch: what it asks (look), what it shows (tabs, view), and how it reaches the terminal (text, screen)."""
