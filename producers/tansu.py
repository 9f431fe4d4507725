"""How Tansu, the local broker, is told from Apache Kafka."""

CLUSTER_ID = "tansu_cluster"


def is_tansu(cluster_id: str | None) -> bool:
    """Whether the cluster of that id is Tansu."""
    return cluster_id == CLUSTER_ID
