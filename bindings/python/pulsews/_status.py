# SPDX-License-Identifier: Apache-2.0
"""The types of what status() gives; docs/STATUS.md and docs/STATISTICS.md have the meanings."""

from __future__ import annotations

from typing import List, Literal, Optional, TypedDict

# generated: states (tools/generate.py)
State = Literal["disconnected", "connecting", "connected", "reconnecting", "error"]
# end of states


class Stats(TypedDict):
    """The statistics. ``None`` stands for what is not known yet."""

    # generated: statistics (tools/generate.py)
    messages_received: int
    messages_accepted: int
    messages_sent: int
    messages_dropped: int
    messages_dropped_oldest: int
    messages_dropped_newest: int
    messages_purged: int
    messages_expired: int
    messages_failed: int
    messages_rejected: int
    received_discarded: int
    session_messages_sent: int
    heartbeats_received: int
    bytes_received: int
    bytes_sent: int
    payload_bytes_received: int
    payload_bytes_sent: int
    writes: int
    pings_sent: int
    pings_received: int
    pongs_sent: int
    pongs_received: int
    pongs_skipped: int
    reading_pauses: int
    rate_limit_waits: int
    events_dropped: int
    connections: int
    reconnections: int
    attempts: int
    errors: int
    stale_episodes: int
    logins_rejected: int
    reconnects_peer_closed: int
    reconnects_network: int
    reconnects_dead: int
    reconnects_stale: int
    reconnects_protocol: int
    reconnects_login: int
    reconnects_manual: int
    failures_resolve: int
    failures_connect: int
    failures_tls: int
    failures_handshake: int
    connected_time: float
    queue_size: float
    queue_bytes: float
    queue_high: float
    queue_bytes_high: float
    receive_queue_size: float
    receive_queue_bytes: float
    receive_queue_high: float
    receive_queue_bytes_high: float
    subscriptions: float
    attempts_in_a_row: float
    next_delay: float
    uptime: float
    ready_time: float
    connect_time: Optional[float]
    first_message_time: Optional[float]
    silence: Optional[float]
    latency: Optional[float]
    latency_smoothed: Optional[float]
    latency_min: Optional[float]
    latency_max: Optional[float]
    latency_p50: Optional[float]
    latency_p99: Optional[float]
    compression_ratio_received: Optional[float]
    compression_ratio_sent: Optional[float]
    connected: float
    ready: float
    state: float
    receive_dropped: int
    receive_conflated: int
    slow_disconnects: int
    sequence_gaps: int
    sequence_missing: int
    sequence_repeats: int
    sequence_steps_back: int
    duplicates_discarded: int
    stale_keys: int
    keys: float
    rotations: int
    rotations_failed: int
    first_by_url: int
    first_by_twin: int
    twin_connections: int
    sides_connected: float
    journal_recovered: int
    journal_in_doubt: int
    journal_bytes: float
    tls_handshakes: int
    tls_resumed: int
    tls_time: Optional[float]
    redirects: int
    failures_proxy: int
    # end of statistics
    last_error: str


class EndpointStatus(TypedDict):
    """One of the endpoints."""

    url: str
    breaker: Literal["closed", "open", "half-open"]
    attempts: int
    failures: int
    connections: int
    ruled_out: bool


class Status(TypedDict):
    """State and statistics of a client."""

    state: State
    ready: bool
    name: str
    url: str
    endpoint: str
    endpoints: List[EndpointStatus]
    queue_size: int
    queue_bytes: int
    receive_queue_size: int
    receive_queue_bytes: int
    reading_paused: bool
    stale: bool
    subscriptions: int
    attempt: int
    next_delay: float
    subprotocol: str
    compression: bool
    close_code: int
    stats: Stats


class ManagerStatus(Status):
    """As of a client, with what the manager counts of its callbacks."""

    callback_errors: int
    messages_unhandled: int
    slow_callbacks: int
    slowest_callback: float
