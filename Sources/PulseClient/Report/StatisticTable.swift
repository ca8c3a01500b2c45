// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText
import PulseTransport
import PulseWire

/// One line of the table of statistics.
package struct StatisticEntry {
  package let name: Literal
  package let isCounter: Bool
  package let unit: Literal
  package let meaning: Literal
}

/// The statistics of a client: JSON, Prometheus text, numbers and the reference page come from this one table.
package enum StatisticTable {
  package static func entry(_ index: Int) -> StatisticEntry? {
    func counter(_ name: Literal, _ unit: Literal, _ meaning: Literal) -> StatisticEntry {
      StatisticEntry(name: name, isCounter: true, unit: unit, meaning: meaning)
    }
    func gauge(_ name: Literal, _ unit: Literal, _ meaning: Literal) -> StatisticEntry {
      StatisticEntry(name: name, isCounter: false, unit: unit, meaning: meaning)
    }
    switch index {
    case 0: return counter("messages_received", "messages", "data messages delivered to the application's queue")
    case 1: return counter("messages_accepted", "messages", "messages taken from the application: sent + dropped + expired + failed + queue_size")
    case 2: return counter("messages_sent", "messages", "handed to the system whole")
    case 3: return counter("messages_dropped", "messages", "discarded from the outbox: by its policy, or by purge")
    case 4: return counter("messages_dropped_oldest", "messages", "of these: made room for newer ones")
    case 5: return counter("messages_dropped_newest", "messages", "of these: found no room")
    case 6: return counter("messages_purged", "messages", "of these: purged")
    case 7: return counter("messages_expired", "messages", "not written within their time to live")
    case 8: return counter("messages_failed", "messages", "cut by the end of a connection (such a one may have arrived), live_only without one, or left when the client ended")
    case 9: return counter("messages_rejected", "messages", "not accepted, since the outbox was full")
    case 10: return counter("received_discarded", "messages", "arrived after this side had begun to close, or left with a full queue")
    case 11: return counter("session_messages_sent", "messages", "the library's own: logins, subscriptions, text heartbeats")
    case 12: return counter("heartbeats_received", "messages", "matched by heartbeat_reply, heartbeat_request or server_heartbeat")
    case 13: return counter("bytes_received", "bytes", "read from the connection, below TLS not counted")
    case 14: return counter("bytes_sent", "bytes", "written to the connection, below TLS not counted")
    case 15: return counter("payload_bytes_received", "bytes", "payloads of received messages, after decompression")
    case 16: return counter("payload_bytes_sent", "bytes", "payloads of framed messages, before compression")
    case 17: return counter("writes", "writes", "write calls")
    case 18: return counter("pings_sent", "pings", "protocol pings, heartbeats included")
    case 19: return counter("pings_received", "pings", "protocol pings of the server")
    case 20: return counter("pongs_sent", "pings", "answers to them")
    case 21: return counter("pongs_received", "pings", "protocol pongs of the server")
    case 22: return counter("pongs_skipped", "pings", "not sent, since the server did not read and a later ping came (RFC 6455 §5.5.3)")
    case 23: return counter("reading_pauses", "events", "a full queue of received messages made reading pause")
    case 24: return counter("rate_limit_waits", "events", "a message had to wait for the rate limits")
    case 25: return counter("events_dropped", "events", "events for which the queue of received messages had no room")
    case 26: return counter("connections", "connections", "handshakes that succeeded")
    case 27: return counter("reconnections", "connections", "of these: all but the first, and but those made while another one served")
    case 28: return counter("attempts", "connections", "attempts to connect that began")
    case 29: return counter("errors", "events", "connections and attempts that ended through a failure")
    case 30: return counter("stale_episodes", "events", "times the feed went stale")
    case 31: return counter("logins_rejected", "events", "matched by login_reject")
    case 32: return counter("reconnects_peer_closed", "events", "connections lost: the server closed")
    case 33: return counter("reconnects_network", "events", "connections lost: reset, end of stream, another error")
    case 34: return counter("reconnects_dead", "events", "connections lost: nothing within heartbeat_timeout")
    case 35: return counter("reconnects_stale", "events", "connections left: no data, or no server heartbeat, in time")
    case 36: return counter("reconnects_protocol", "events", "connections lost: the server broke the protocol, or a message was too large")
    case 37: return counter("reconnects_login", "events", "connections left: login or subscription rejected or not confirmed")
    case 38: return counter("reconnects_manual", "events", "connections left: reconnect()")
    case 39: return counter("failures_resolve", "events", "attempts that failed: the host name")
    case 40: return counter("failures_connect", "events", "attempts that failed: no TCP connection, or the time was over")
    case 41: return counter("failures_tls", "events", "attempts that failed: TLS or the certificate")
    case 42: return counter("failures_handshake", "events", "attempts that failed: the server refused, or its answer was not valid")
    case 43: return counter("connected_time", "seconds", "time with an open connection, over all of them")
    case 44: return gauge("queue_size", "messages", "accepted and without a fate yet")
    case 45: return gauge("queue_bytes", "bytes", "of these, 40 for each in the outbox included")
    case 46: return gauge("queue_high", "messages", "the most that the outbox has held")
    case 47: return gauge("queue_bytes_high", "bytes", "the most bytes that the outbox has held")
    case 48: return gauge("receive_queue_size", "messages", "received and not yet taken, events included")
    case 49: return gauge("receive_queue_bytes", "bytes", "of these, 40 for each included")
    case 50: return gauge("receive_queue_high", "messages", "the most that have waited")
    case 51: return gauge("receive_queue_bytes_high", "bytes", "the most bytes that have waited")
    case 52: return gauge("subscriptions", "subscriptions", "keys that are subscribed, or will be")
    case 53: return gauge("attempts_in_a_row", "connections", "attempts to come back since the last stable connection")
    case 54: return gauge("next_delay", "seconds", "the delay before the next attempt, 0 if none is waited for")
    case 55: return gauge("uptime", "seconds", "age of the open connection, 0 without one")
    case 56: return gauge("ready_time", "seconds", "since the connection is ready, 0 while it is not")
    case 57: return gauge("connect_time", "seconds", "how long the last connect took, from the attempt's begin to the open connection")
    case 58: return gauge("first_message_time", "seconds", "from the last connection's opening to its first data message")
    case 59: return gauge("silence", "seconds", "since the last data message, or the opening")
    case 60: return gauge("latency", "seconds", "round trip of the last heartbeat")
    case 61: return gauge("latency_smoothed", "seconds", "moving average, weight 1/8 for a new sample")
    case 62: return gauge("latency_min", "seconds", "the shortest of all")
    case 63: return gauge("latency_max", "seconds", "the longest of all")
    case 64: return gauge("latency_p50", "seconds", "median of the last 256")
    case 65: return gauge("latency_p99", "seconds", "99th percentile of the last 256")
    case 66: return gauge("compression_ratio_received", "ratio", "bytes after decompression to those before, of compressed messages")
    case 67: return gauge("compression_ratio_sent", "ratio", "bytes before compression to those after, of compressed messages")
    case 68: return gauge("connected", "boolean", "1 while the connection is open")
    case 69: return gauge("ready", "boolean", "1 while messages flow: open, logged in, subscribed")
    case 70: return gauge("state", "state", "0 disconnected, 1 connecting, 2 connected, 3 reconnecting, 4 error")
    case 71: return counter("receive_dropped", "messages", "received, and dropped from the full queue: receive_queue_policy=drop_oldest")
    case 72: return counter("receive_conflated", "messages", "received, and replaced in the full queue by a later one with the same key")
    case 73: return counter("slow_disconnects", "events", "connections left because the queue of received messages was full")
    case 74: return counter("sequence_gaps", "events", "messages ahead of their sequence")
    case 75: return counter("sequence_missing", "messages", "sequence numbers that were left out in these gaps, where numbers are consecutive")
    case 76: return counter("sequence_repeats", "events", "messages with the sequence number of the one before")
    case 77: return counter("sequence_steps_back", "events", "messages with a lower sequence number than the one before")
    case 78: return counter("duplicates_discarded", "messages", "copies that a second connection brought, told by sequence_path")
    case 79: return counter("stale_keys", "events", "times a key went stale (stale_key_timeout)")
    case 80: return gauge("keys", "keys", "keys of key_path and sequence_key that were seen")
    case 81: return counter("rotations", "connections", "connections that were replaced: max_age, rotate_on, code 1012")
    case 82: return counter("rotations_failed", "events", "replacements that were not ready in time; they are tried again")
    case 83: return counter("first_by_url", "messages", "with option twin: messages that the connection to the URL brought first")
    case 84: return counter("first_by_twin", "messages", "with option twin: messages that the connection to the twin brought first")
    case 85: return counter("twin_connections", "connections", "handshakes of the twin that succeeded")
    case 86: return gauge("sides_connected", "connections", "with option twin: of the two, those that are open")
    case 87: return counter("journal_recovered", "messages", "found in the journal, to be sent")
    case 88: return counter("journal_in_doubt", "messages", "found in the journal, begun to be written when the process ended: not sent again, counted as failed")
    case 89: return gauge("journal_bytes", "bytes", "of the journal that are in use")
    case 90: return counter("tls_handshakes", "connections", "TLS handshakes that succeeded")
    case 91: return counter("tls_resumed", "connections", "of these: resumed sessions")
    case 92: return gauge("tls_time", "seconds", "how long the last TLS handshake took")
    case 93: return counter("redirects", "events", "redirects that were followed")
    case 94: return counter("failures_proxy", "events", "attempts that failed: the proxy")
    default: return nil
    }
  }

  package static var count: Int { 95 }
}

extension Client {
  /// The value of a statistic; NaN if it is not known. `mutex` is held.
  func value(_ index: Int, now: Int64) -> Double {
    switch index {
    case 0: Double(statistics.messagesReceived)
    case 1: Double(statistics.messagesAccepted)
    case 2: Double(statistics.messagesSent)
    case 3: Double(outbox.book.dropped)
    case 4: Double(outbox.book.droppedOldest)
    case 5: Double(outbox.book.droppedNewest)
    case 6: Double(outbox.book.purged)
    case 7: Double(outbox.book.expired)
    case 8: Double(outbox.book.failed)
    case 9: Double(statistics.messagesRejected)
    case 10: Double(statistics.receivedDiscarded)
    case 11: Double(statistics.sessionMessagesSent)
    case 12: Double(statistics.heartbeatsReceived)
    case 13: Double(statistics.bytesReceived)
    case 14: Double(statistics.bytesSent)
    case 15: Double(statistics.payloadBytesReceived)
    case 16: Double(statistics.payloadBytesSent)
    case 17: Double(statistics.writes)
    case 18: Double(statistics.pingsSent)
    case 19: Double(statistics.pingsReceived)
    case 20: Double(statistics.pongsSent)
    case 21: Double(statistics.pongsReceived)
    case 22: Double(statistics.pongsSkipped)
    case 23: Double(statistics.readingPauses)
    case 24: Double(statistics.rateLimitWaits)
    case 25: Double(statistics.eventsDropped)
    case 26: Double(statistics.connections)
    case 27: Double(statistics.connections > 1 &+ statistics.successors ? statistics.connections &- 1 &- statistics.successors : 0)
    case 28: Double(statistics.attempts)
    case 29: Double(statistics.errors)
    case 30: Double(statistics.staleEpisodes)
    case 31: Double(statistics.loginsRejected)
    case 32: Double(statistics.reconnectsPeerClosed)
    case 33: Double(statistics.reconnectsNetwork)
    case 34: Double(statistics.reconnectsDead)
    case 35: Double(statistics.reconnectsStale)
    case 36: Double(statistics.reconnectsProtocol)
    case 37: Double(statistics.reconnectsLogin)
    case 38: Double(statistics.reconnectsManual)
    case 39: Double(statistics.failuresResolve)
    case 40: Double(statistics.failuresConnect)
    case 41: Double(statistics.failuresTLS)
    case 42: Double(statistics.failuresHandshake)
    case 43: seconds(statistics.connectedTime &+ uptime(now))
    case 44: Double(queueSize)
    case 45: Double(queueBytes)
    case 46: Double(outbox.highestCount)
    case 47: Double(outbox.highestBytes)
    case 48: Double(queuedCount)
    case 49: Double(queuedBytes)
    case 50: Double(inbox.highestCount)
    case 51: Double(inbox.highestBytes)
    case 52: Double(subscriptions?.count ?? 0)
    case 53: Double(backoff.attempt)
    case 54: seconds(nextDelay)
    case 55: seconds(uptime(now))
    case 56: seconds(stage == .ready ? now &- readyAt : 0)
    case 57: known(statistics.connectTime)
    case 58: known(statistics.firstMessageTime)
    case 59: isOpen ? seconds(now &- lastDataAt) : .nan
    case 60: latency(roundTrips.last)
    case 61: latency(roundTrips.smoothed)
    case 62: latency(roundTrips.minimum)
    case 63: latency(roundTrips.maximum)
    case 64: latency(roundTrips.percentile(0.5))
    case 65: latency(roundTrips.percentile(0.99))
    case 66: ratio(statistics.inflated &+ (connection?.wire?.inflatedBytes ?? 0), statistics.compressedIn &+ (connection?.wire?.compressedBytesIn ?? 0))
    case 67: ratio(statistics.plainOut &+ (connection?.wire?.plainBytesOut ?? 0), statistics.compressedOut &+ (connection?.wire?.compressedBytesOut ?? 0))
    case 68: isConnected ? 1 : 0
    case 69: isReady ? 1 : 0
    case 70: Double(shownState.rawValue)
    case 71: Double(inbox.droppedCount)
    case 72: Double(inbox.conflatedCount)
    case 73: Double(statistics.slowDisconnects)
    case 74: Double(statistics.sequenceGaps)
    case 75: Double(statistics.sequenceMissing)
    case 76: Double(statistics.sequenceRepeats)
    case 77: Double(statistics.sequenceStepsBack)
    case 78: Double(statistics.duplicatesDiscarded &+ (twin?.merge.duplicates ?? 0))
    case 79: Double(statistics.staleKeys)
    case 80: Double(keyCount)
    case 81: Double(statistics.rotations)
    case 82: Double(statistics.rotationsFailed)
    case 83: Double(twin?.merge.firsts.0 ?? 0)
    case 84: Double(twin?.merge.firsts.1 ?? 0)
    case 85: Double(statistics.twinConnections)
    case 86: Double(sidesConnected)
    case 87: Double(statistics.journalRecovered)
    case 88: Double(statistics.journalInDoubt)
    case 89: Double(journalBytes)
    case 90: Double(statistics.tlsHandshakes)
    case 91: Double(statistics.tlsResumed)
    case 92: known(statistics.tlsTime)
    case 93: Double(statistics.redirects)
    case 94: Double(statistics.failuresProxy)
    default: .nan
    }
  }

  private func seconds(_ nanoseconds: Int64) -> Double { Double(nanoseconds) / 1e9 }
  private func known(_ nanoseconds: Int64) -> Double { nanoseconds < 0 ? .nan : seconds(nanoseconds) }
  private func latency(_ nanoseconds: Int64) -> Double { roundTrips.count == 0 ? .nan : seconds(nanoseconds) }

  /// Bytes before compression for each byte after it.
  private func ratio(_ plain: UInt64, _ compressed: UInt64) -> Double {
    compressed == 0 ? .nan : Double(plain) / Double(compressed)
  }
}
