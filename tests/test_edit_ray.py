"""The Ray engine: the records of one process, also when a machine goes away in the middle."""

import threading
import time
from pathlib import Path

import pytest
from edit_pipeline import Broken, Slow
from test_edit_run import content

from mmhallu_core.edit.engine.run import build
from mmhallu_core.types import CannotRun

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'mmhallu[ray]'")
pytestmark = pytest.mark.slow

N, CHUNK = 120, 4


@pytest.fixture(scope="module")
def cluster():
    """Two nodes on this machine: a head without room for workers, so that all of them are on nodes that can go."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    tests = {"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}}  # where workers find edit_pipeline
    ray.init(address=cluster.address, runtime_env=tests, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """The same run in this process."""
    out = tmp_path_factory.mktemp("calm") / "out"
    build(Slow(N, 0.0), out, workers=0, chunk=CHUNK)
    return content(out)


def alive():
    """How many nodes have room for workers, as the cluster sees it."""
    return sum(node["Alive"] and node["Resources"].get("CPU", 0) > 0 for node in ray.nodes())


def test_a_node_that_is_killed_costs_nothing(cluster, calm, tmp_path):
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    cluster.wait_for_nodes()
    out, killed = tmp_path / "out", []

    def kill():
        journal, deadline = out / "journal.jsonl", time.monotonic() + 300
        while (not journal.exists() or journal.read_bytes().count(b"\n") < 5) and time.monotonic() < deadline:
            time.sleep(0.05)
        cluster.remove_node(nodes[0], allow_graceful=False)
        killed.append(journal.read_bytes().count(b"\n") - 1)

    watcher = threading.Thread(target=kill)
    watcher.start()
    result = build(Slow(N, 0.5), out, engine="ray", chunk=CHUNK)
    watcher.join()
    assert 4 <= killed[0] < N // CHUNK, "it was killed in the middle"
    assert content(out) == calm and result["n"] == N
    deadline = time.monotonic() + 60  # the cluster misses a node only when it has not answered for some seconds
    while alive() > 1 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert alive() == 1
    cluster.remove_node(nodes[1])


def test_what_goes_wrong_in_a_worker_is_said_here(cluster, tmp_path, monkeypatch):
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    with pytest.raises(RuntimeError, match="ZeroDivisionError: in a stage"):
        build(Broken(N, "bug"), tmp_path / "a", engine="ray", chunk=CHUNK)
    monkeypatch.setattr("mmhallu_core.edit.engine.ray.secrets.token_hex", lambda count: "not what is written")
    monkeypatch.setattr(Path, "write_text", lambda *args, **options: None)
    with pytest.raises(CannotRun, match="does not see the folder .*: use a shared one"):
        build(Slow(N, 0.0), tmp_path / "d", engine="ray", chunk=CHUNK)
    cluster.remove_node(node)
