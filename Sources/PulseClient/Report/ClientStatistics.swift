// SPDX-License-Identifier: Apache-2.0
import PulseText

/// Counters of one client that are kept nowhere else; times in nanoseconds. `StatisticTable` says what they mean.
struct ClientStatistics {
  var messagesReceived: UInt64 = 0
  var messagesAccepted: UInt64 = 0
  var messagesSent: UInt64 = 0
  var messagesRejected: UInt64 = 0
  var receivedDiscarded: UInt64 = 0
  /// How many of them an event has told.
  var discardedTold: UInt64 = 0
  var sessionMessagesSent: UInt64 = 0
  var heartbeatsReceived: UInt64 = 0
  var bytesReceived: UInt64 = 0
  var bytesSent: UInt64 = 0
  var payloadBytesReceived: UInt64 = 0
  var payloadBytesSent: UInt64 = 0
  var compressedIn: UInt64 = 0
  var inflated: UInt64 = 0
  var plainOut: UInt64 = 0
  var compressedOut: UInt64 = 0
  var writes: UInt64 = 0
  var pingsSent: UInt64 = 0
  var pingsReceived: UInt64 = 0
  var pongsSent: UInt64 = 0
  var pongsReceived: UInt64 = 0
  var pongsSkipped: UInt64 = 0
  var readingPauses: UInt64 = 0
  var rateLimitWaits: UInt64 = 0
  var eventsDropped: UInt64 = 0
  var eventsDroppedTold: UInt64 = 0
  var connections: UInt64 = 0
  /// Of these: made while another one served.
  var successors: UInt64 = 0
  var attempts: UInt64 = 0
  var errors: UInt64 = 0
  var staleEpisodes: UInt64 = 0
  var staleSince: Int64 = 0
  var loginsRejected: UInt64 = 0
  var reconnectsPeerClosed: UInt64 = 0
  var reconnectsNetwork: UInt64 = 0
  var reconnectsDead: UInt64 = 0
  var reconnectsStale: UInt64 = 0
  var reconnectsProtocol: UInt64 = 0
  var reconnectsLogin: UInt64 = 0
  var reconnectsManual: UInt64 = 0
  var failuresResolve: UInt64 = 0
  var failuresConnect: UInt64 = 0
  var failuresTLS: UInt64 = 0
  var failuresHandshake: UInt64 = 0
  /// How many discarded messages, and bytes, events have told, and when the next may.
  var receiveDiscardTold: UInt64 = 0
  var receiveDiscardBytesTold: UInt64 = 0
  var nextReceiveTelling: Int64 = 0
  var keysAreFullTold = false
  var slowDisconnects: UInt64 = 0
  var sequenceGaps: UInt64 = 0
  var sequenceMissing: UInt64 = 0
  var sequenceRepeats: UInt64 = 0
  var sequenceStepsBack: UInt64 = 0
  var duplicatesDiscarded: UInt64 = 0
  var staleKeys: UInt64 = 0
  var rotations: UInt64 = 0
  var rotationsFailed: UInt64 = 0
  var twinConnections: UInt64 = 0
  var journalRecovered: UInt64 = 0
  var journalInDoubt: UInt64 = 0
  var tlsHandshakes: UInt64 = 0
  var tlsResumed: UInt64 = 0
  var redirects: UInt64 = 0
  var failuresProxy: UInt64 = 0
  var tlsTime: Int64 = -1
  /// Of connections that have ended.
  var connectedTime: Int64 = 0
  /// Of the last connection: until it was open, and from then until the first message; -1 for none.
  var connectTime: Int64 = -1
  var firstMessageTime: Int64 = -1
  var awaitsFirstMessage = false
}

extension Client {
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
