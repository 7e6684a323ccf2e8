from conftest import metrics


def test_wal_metrics_counts_commits(db):
    db.execute("INSERT INTO t(payload) VALUES (zeroblob(100))")
    assert metrics(db)["commits"] == 1
