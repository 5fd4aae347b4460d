"""What people type: one module per verb; nothing heavy is imported before the verb that needs it."""

from accord.cli.app import main

__all__ = ["main"]
