"""The pictures of a report, as vector graphics for print: one module each, with `draw(results, path)`."""
