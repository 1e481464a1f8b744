"""The command line: one file per verb. Parsing is cheap; a verb imports its work when it runs."""
