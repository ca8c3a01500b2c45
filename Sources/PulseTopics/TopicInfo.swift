// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// How the peers of a subscription see messages.
package enum Form: UInt8, Sendable {
  /// In the envelope of `pulse.v1`, with offsets.
  case pulse = 0
  /// As they were published.
  case plain = 1
}

/// What the owner wants of a topic.
package struct TopicSettings: Sendable {
  /// Messages that are kept for those who come back, their bytes, and their age in ns (0: any).
  package var history = 0
  package var historyBytes = 16 << 20
  package var historyAge: Int64 = 120_000_000_000
  /// The field that is the key where none is given with the message. Such a topic always conflates.
  package var conflate: JSONPath?
  /// A newcomer gets the latest message of each key.
  package var latest = false
  package var maxKeys = 10_000
  /// How long readers gather messages before they send them, in ns; 0 for at once.
  package var flush: Int64 = 0
  /// Without a message for so long the topic is stale, in ns; 0 for never.
  package var staleAfter: Int64 = 0
  package var isBinary = false

  package init() {}
}

/// What never changes of a topic: any thread may read it.
package final class TopicInfo: Sendable {
  package let name: [UInt8]
  /// In the frames of binary topics; of no meaning to another hub.
  package let number: UInt32
  package let settings: TopicSettings
  /// `"topic":"..."`
  let label: [UInt8]

  package init(name: [UInt8], number: UInt32, settings: TopicSettings) {
    self.name = name
    self.number = number
    self.settings = settings
    var label: [UInt8] = []
    JSONText.append("\"topic\":", to: &label)
    JSONText.appendString(name, to: &label)
    self.label = label
  }

  package var conflates: Bool { settings.conflate != nil }
  package var isBinary: Bool { settings.isBinary }
}

/// A place in a topic: behind the message with this offset. The ordinal counts messages without holes, whatever the
/// offsets are.
package struct TopicPosition: Equatable, Sendable {
  package var offset: UInt64
  package var ordinal: UInt64

  package init(offset: UInt64 = 0, ordinal: UInt64 = 0) {
    self.offset = offset
    self.ordinal = ordinal
  }
}

/// Why a peer misses messages.
package enum GapCause: UInt8, Sendable {
  case history, slow, upstream, hubRestart, cluster

  package var name: Literal {
    switch self {
    case .history: "history"
    case .slow: "slow"
    case .upstream: "upstream"
    case .hubRestart: "hub_restart"
    case .cluster: "cluster"
    }
  }
}

/// Messages that a peer misses, the first and the last one; `from` is 0 if it is not known.
package struct Gap: Equatable, Sendable {
  package var from: UInt64
  package var to: UInt64
  package var cause: GapCause

  package init(from: UInt64, to: UInt64, cause: GapCause) {
    self.from = from
    self.to = to
    self.cause = cause
  }
}
