// SPDX-License-Identifier: Apache-2.0

/// How a message in the outbox, or its frame, is to be treated. The journal stores these bits.
package struct OutboxFlags: OptionSet, Sendable {
  package let rawValue: UInt32
  @inline(__always) package init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Never to be sent on a later connection than the one it was accepted for.
  package static var liveOnly: Self { Self(rawValue: 1) }
  /// The fate of this very message is asked for.
  package static var report: Self { Self(rawValue: 2) }
  /// A login: nothing takes it back once it is a frame.
  package static var first: Self { Self(rawValue: 4) }
  /// The message is in the journal, which has to learn of its fate.
  package static var journaled: Self { Self(rawValue: 1 << 16) }
}
