// SPDX-License-Identifier: Apache-2.0
import PulseText

/// What becomes of a message for which a full outbox has no room.
package enum OverflowPolicy: UInt8, Sendable {
  /// The oldest messages make room.
  case dropOldest
  /// The new message is dropped.
  case dropNewest
  /// The new message is not accepted.
  case reject
  /// The sender waits. For the outbox this is the same as `reject`: it knows no threads.
  case block
}

/// What became of an accepted message. Each has one fate in the end; until then it is queued, so that at every instant
/// accepted = sent + dropped + expired + failed + queued.
package enum Fate: UInt8, Sendable {
  case sent, dropped, expired, failed

  package var name: Literal {
    switch self {
    case .sent: "sent"
    case .dropped: "dropped"
    case .expired: "expired"
    case .failed: "failed"
    }
  }
}

/// Why a message was discarded.
package enum DiscardCause: UInt8, Sendable {
  /// It made room for a newer one.
  case oldest = 0
  /// There was no room for it.
  case newest
  /// Its time to live was over.
  case expired
  /// The owner emptied the outbox.
  case purged
  /// It was to be sent at once or never, and there was no connection.
  case notLive
  /// The connection ended, or will not come back.
  case connection

  static let count = 6

  package var fate: Fate {
    switch self {
    case .oldest, .newest, .purged: .dropped
    case .expired: .expired
    case .notLive, .connection: .failed
    }
  }

  package var name: Literal {
    switch self {
    case .oldest: "oldest"
    case .newest: "newest"
    case .expired: "expired"
    case .purged: "purged"
    case .notLive: "not_live"
    case .connection: "connection"
    }
  }
}

/// A message in the outbox; the payload belongs to whoever made this value.
package struct OutboxMessage {
  package var id: UInt64
  package var kind: UInt32
  package var flags: OutboxFlags
  package var payload: UnsafeRawBufferPointer
  /// Monotonic ns; `.max` for never.
  package var expiresAt: Int64
  package var acceptedAt: Int64

  package init(
    id: UInt64, kind: UInt32, flags: OutboxFlags, payload: UnsafeRawBufferPointer, expiresAt: Int64, acceptedAt: Int64
  ) {
    self.id = id
    self.kind = kind
    self.flags = flags
    self.payload = payload
    self.expiresAt = expiresAt
    self.acceptedAt = acceptedAt
  }
}

/// How many messages were discarded for one cause since the owner looked, with the lowest and the highest id of them.
package struct Discarded {
  package var cause: DiscardCause
  package var count: Int
  package var firstID: UInt64
  package var lastID: UInt64
}

/// The fate of one message that was sent with `OutboxFlags.report`.
package struct FateReport {
  package var id: UInt64
  package var fate: Fate
}
