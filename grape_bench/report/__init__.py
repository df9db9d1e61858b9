"""Numbers to what people read: terminal, Markdown, CSV and a picture."""
