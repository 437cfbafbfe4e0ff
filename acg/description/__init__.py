"""From the text of a description to what `acg.graph` builds: strict YAML, schema, capabilities, checks, and descriptions made from one."""
