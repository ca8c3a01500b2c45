// SPDX-License-Identifier: Apache-2.0

/// Counters of one client; times in nanoseconds.
struct ClientStatistics {
  var messagesReceived: UInt64 = 0
  /// Handed to the system whole.
  var messagesSent: UInt64 = 0
  /// Taken from callers: sent + failed + still queued.
  var messagesAccepted: UInt64 = 0
  /// Accepted, but the connection ended before they were written.
  var messagesFailed: UInt64 = 0
  /// Arrived after this side had begun to close.
  var messagesDropped: UInt64 = 0
  var bytesReceived: UInt64 = 0
  var bytesSent: UInt64 = 0
  var writes: UInt64 = 0
  var pingsSent: UInt64 = 0
  var pingsReceived: UInt64 = 0
  var pongsSent: UInt64 = 0
  var pongsReceived: UInt64 = 0
  var pongsSkipped: UInt64 = 0
  var readingPauses: UInt64 = 0
  var connections: UInt64 = 0
  var errors: UInt64 = 0
  /// Of connections that have ended.
  var connectedTime: Int64 = 0
}
