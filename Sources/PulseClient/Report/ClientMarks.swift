// SPDX-License-Identifier: Apache-2.0
import PulseProcess
import PulseText

/// What a client remembers for its statistics; times in nanoseconds.
struct ClientMarks {
  /// Connections that were made while another one served.
  var successors: UInt64 = 0
  /// Compressed bytes and those after decompression, of connections that have ended; the same of sent ones.
  var compressedIn: UInt64 = 0
  var inflated: UInt64 = 0
  var plainOut: UInt64 = 0
  var compressedOut: UInt64 = 0
  /// Of connections that have ended.
  var connectedTime: Int64 = 0
  /// Of the last connection: until it was open, from then until the first message, and TLS alone; -1 for none.
  var connectTime: Int64 = -1
  var firstMessageTime: Int64 = -1
  var tlsTime: Int64 = -1
  var awaitsFirstMessage = false
}

extension Line {
  /// Why a connection was lost, or an attempt failed. `mutex` is held.
  func countFailure(_ failure: Failure, wasOpen: Bool) {
    if failure.code != .closed && failure.code != .peerClosed { statistics.errors &+= 1 }
    if wasOpen {
      switch failure.code {
      case .peerClosed: statistics.reconnectsPeerClosed &+= 1
      case .dead: statistics.reconnectsDead &+= 1
      case .stale: statistics.reconnectsStale &+= 1
      case .protocolError, .invalidPayload, .deflate, .tooBig: statistics.reconnectsProtocol &+= 1
      case .login, .subscribe: statistics.reconnectsLogin &+= 1
      case .slowConsumer: statistics.slowDisconnects &+= 1
      default: statistics.reconnectsNetwork &+= 1
      }
      return
    }
    switch failure.code {
    case .resolve: statistics.failuresResolve &+= 1
    case .tls, .certificate, .hostname, .trust, .expired, .notYetValid, .unknownCA, .purpose, .pin, .tlsVersion,
      .truncated, .clientCertificate:
      statistics.failuresTLS &+= 1
    case .proxy, .proxyLogin: statistics.failuresProxy &+= 1
    case .handshake, .upgrade, .headers, .redirect: statistics.failuresHandshake &+= 1
    case .login: statistics.reconnectsLogin &+= 1
    default: statistics.failuresConnect &+= 1
    }
  }
}
