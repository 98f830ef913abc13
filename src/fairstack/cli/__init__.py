"""The command line: `fairstack video "a dog on a beach"`."""
