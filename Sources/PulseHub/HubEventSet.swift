// SPDX-License-Identifier: Apache-2.0

/// Kinds of events: those that the application wants.
package struct HubEventSet: Sendable, Equatable {
  private var bits: UInt32 = 0

  package init() {}

  package func contains(_ kind: HubEventKind) -> Bool { bits >> kind.rawValue & 1 != 0 }

  package mutating func insert(_ kind: HubEventKind) { bits |= 1 << kind.rawValue }

  /// By the place among the words of option `events`.
  mutating func insert(place: Int64) {
    if let kind = HubEventKind(rawValue: UInt32(truncatingIfNeeded: place &+ 1)) { insert(kind) }
  }

  package var count: Int { bits.nonzeroBitCount }
}
