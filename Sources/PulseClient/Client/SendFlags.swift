// SPDX-License-Identifier: Apache-2.0
import PulseFlow

/// How the application wants a message sent. The values are those of the ABI.
package struct SendFlags: OptionSet, Sendable {
  package let rawValue: UInt32
  @inline(__always) package init(rawValue: UInt32) { self.rawValue = rawValue }

  /// There are no others.
  @inline(__always) var areKnown: Bool { isSubset(of: .known) }

  /// What the outbox has to know of them.
  var forOutbox: OutboxFlags {
    var flags: OutboxFlags = []
    if contains(.liveOnly) { flags.insert(.liveOnly) }
    if contains(.report) { flags.insert(.report) }
    return flags
  }
}
