"""The figures of a report, as vector graphics for print.

Each module draws one, with `draw(results, path, width)`. `look` holds their common style, `naming` places names.
"""
