use std::time::Duration;

use axum::http::{Method, StatusCode};

use super::*;

#[test]
fn what_is_counted_is_told() {
    let metrics = Metrics::new(Instant::from_micros(1_500_000), StorageMetrics::default());
    let get = metrics.http.route("/1/logs/{log}");
    let end = |status, bytes| metrics.http.ended(get, &Method::GET, status, Duration::from_micros(1000), bytes);
    end(Some(StatusCode::OK), (0, 10));
    end(Some(StatusCode::NO_CONTENT), (0, 0));
    end(None, (7, 0));
    metrics.storage.commits.inc();
    drop(metrics.door.connected());
    metrics.storage.commit_jobs.observe(3);
    let now = Now {
        streams: 2,
        answer_bytes: 4096,
        totals: Totals { logs: 1, ..Totals::default() },
        disk_free_bytes: Some(1 << 30),
        ready: true,
        ..Now::default()
    };
    let text = metrics.exposition(&now).unwrap();
    for line in [
        "# TYPE tolstoy_hub_requests counter",
        "tolstoy_hub_requests_total{route=\"/1/logs/{log}\",method=\"GET\",status=\"2xx\"} 2",
        "tolstoy_hub_requests_total{route=\"/1/logs/{log}\",method=\"GET\",status=\"gone\"} 1",
        "tolstoy_hub_request_seconds_bucket{le=\"0.0005\",route=\"/1/logs/{log}\"} 0",
        "tolstoy_hub_request_seconds_bucket{le=\"0.001\",route=\"/1/logs/{log}\"} 3",
        "tolstoy_hub_request_seconds_bucket{le=\"+Inf\",route=\"/1/logs/{log}\"} 3",
        "tolstoy_hub_request_seconds_sum{route=\"/1/logs/{log}\"} 0.003",
        "tolstoy_hub_received_bytes_total{route=\"/1/logs/{log}\"} 7",
        "tolstoy_hub_sent_bytes_total{route=\"/1/logs/{log}\"} 10",
        "tolstoy_hub_commit_jobs_bucket{le=\"2.0\"} 0",
        "tolstoy_hub_commit_jobs_bucket{le=\"4.0\"} 1",
        "tolstoy_hub_commits_total 1",
        "tolstoy_hub_start_time_seconds 1.5",
        "tolstoy_hub_streams 2",
        "tolstoy_hub_answer_bytes 4096",
        "tolstoy_hub_connections 0",
        "tolstoy_hub_connections_taken_total 1",
        "tolstoy_hub_logs 1",
        "tolstoy_hub_disk_free_bytes 1073741824",
        "tolstoy_hub_ready 1",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("wal_bytes"), "what is not known is not told");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn routes_keep_their_places_and_further_ones_share_the_last() {
    let metrics = Metrics::new(Instant::from_micros(0), StorageMetrics::default());
    let places: Vec<usize> = (0..100).map(|n| metrics.http.route(&format!("/{n}"))).collect();
    let again: Vec<usize> = (0..100).map(|n| metrics.http.route(&format!("/{n}"))).collect();
    assert_eq!(places, again);
    assert_eq!((places[0], places[62], places[99]), (0, 62, 63));
}
