"""Tables as HTML and Markdown, for comparisons and studies."""
