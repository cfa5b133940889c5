"""The harness itself: what every other test stands on."""


def test_a_cluster_is_the_real_kubernetes(clusters):
    assert "Server Version: v1.36.3" in clusters[0].kubectl("version")


def test_clusters_are_separate(clusters):
    clusters[0].apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "only-here", "namespace": "default"}})
    assert clusters[0].get("/api/v1/namespaces/default/configmaps/only-here")
    assert clusters[1].get("/api/v1/namespaces/default/configmaps/only-here") is None


def test_a_restarted_server_keeps_its_objects(clusters):
    cluster = clusters[2]
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept", "namespace": "default"}})
    cluster.apiserver.kill()
    cluster.etcd.kill()
    cluster.start()
    assert cluster.get("/api/v1/namespaces/default/configmaps/kept")
