"""Judges and annotators: models that are asked one thing at a time, wherever they run.

`client.py` says what a request and a reply are. `openai_client.py` sends them to any server that speaks the OpenAI
form of HTTP, `local.py` to a model in this process. `journaled.py` stands before either and keeps every reply, so that
nothing is asked, or paid, twice. `judge.py` grades free answers with them.
"""
