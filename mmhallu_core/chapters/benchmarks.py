"""The benchmarks as a table, made from the objects that score them."""

from mmhallu_core.evaluate.benchmarks import benchmarks
from mmhallu_core.viz.twins import Twin, table

FORMS = {"yes_no": "yes or no", "letter": "a letter", "free": "free text"}


def benchmark_list() -> Twin:
    """Every benchmark: what it is, what is answered, the score that tables print, and where its files are."""
    rows = []
    for name, one in benchmarks().items():
        if name.endswith("-diorama"):
            continue
        home = one.home.replace("hub:", "on the Hugging Face hub: ").removeprefix("https://")
        judged = "" if one.judge is None else " (a judge reads some)" if one.settled else " (a judge reads the answers)"
        rows.append((name, one.title, FORMS[one.form] + judged, one.headline, home, one.licence))
    columns = ("name", "what it is", "answers", "headline", "its public home", "licence of its files")
    return table(columns, rows, "The benchmarks, by the name that the command line takes")
