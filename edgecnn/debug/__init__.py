"""Where a quantized file went wrong: every layer of it beside the float model it came from.

Importing this package loads no Keras and no engine; import its modules late. Nothing here may know
the command line.
"""
