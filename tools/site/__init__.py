"""The documentation site: `python -m tools.site` builds it from docs/ and the documents of the repository's root.

`pages` says which documents become which pages and points their links to pages, `markdown` rewrites what
Python-Markdown reads differently from the repository's viewer, `commands` writes the reference of the command line,
`build` runs Zensical on the result. Theme and navigation are in zensical.toml.
"""
