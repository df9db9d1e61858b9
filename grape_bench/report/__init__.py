"""Numbers to what people read: terminal, Markdown, LaTeX, CSV, figures and a web page."""
