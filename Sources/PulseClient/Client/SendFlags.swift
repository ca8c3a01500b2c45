// SPDX-License-Identifier: Apache-2.0
import PulseFlow

/// How the application wants a message sent. The values are those of the ABI.
package struct SendFlags: OptionSet, Sendable {
  package let rawValue: UInt32
  @inline(__always) package init(rawValue: UInt32) { self.rawValue = rawValue }

  package static var liveOnly: Self { Self(rawValue: 1) }
  package static var report: Self { Self(rawValue: 2) }
  package static var first: Self { Self(rawValue: 4) }
  package static var inLimit: Self { Self(rawValue: 8) }

  /// There are no others.
  @inline(__always) var areKnown: Bool { rawValue & ~15 == 0 }

  /// What the outbox has to know of them.
  var forOutbox: OutboxFlags {
    var flags: OutboxFlags = []
    if contains(.liveOnly) { flags.insert(.liveOnly) }
    if contains(.report) { flags.insert(.report) }
    return flags
  }
}
