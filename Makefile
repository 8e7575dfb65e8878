# Every target is a command of tasks.py, so `python tasks.py book` does the same where there is no make.
# Another Python: make book PYTHON=python3.12
PYTHON ?= python3

TASKS = setup book site test quick lab tour bench notebooks lock
.PHONY: help $(TASKS)

help:
	@$(PYTHON) tasks.py --help

$(TASKS):
	@$(PYTHON) tasks.py $@
