"""Language models: text that is scored, completed and written."""
