"""Image to XML: the schema is the language. RELAX NG in, tokens and an automaton out; whatever is generated is valid."""
