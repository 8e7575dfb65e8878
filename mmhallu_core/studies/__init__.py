"""Lists of runs that answer a question; nothing but configuration and order."""
