// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// Whether a topic's data are what they should be, apart from the state of any connection.
package enum TopicState: UInt8, Sendable {
  case live, stale, gap, failover, degraded, ended

  package var name: Literal {
    switch self {
    case .live: "live"
    case .stale: "stale"
    case .gap: "gap"
    case .failover: "failover"
    case .degraded: "degraded"
    case .ended: "ended"
    }
  }
}

/// The state that the owner gave a topic, and what time makes of it.
struct Freshness {
  static let maxText = 256

  var given = TopicState.live
  /// No message came for too long.
  var isOverdue = false
  /// When the last message came, or the topic was made.
  var since: Int64
  var hasMessage = false
  var feed: [UInt8] = []
  var cause: [UInt8] = []

  init(since: Int64) { self.since = since }

  var state: TopicState { isOverdue && given != .ended ? .stale : given }

  /// True if that ended staleness.
  mutating func messageCame(_ now: Int64) -> Bool {
    let before = state
    since = now
    hasMessage = true
    isOverdue = false
    if given == .stale {
      given = .live
      cause = []
      // Whichever feed brought it will say so itself.
      feed = []
    }
    return before == .stale
  }
}

extension Topic {
  package var state: TopicState { freshness.state }

  /// When `checkFreshness` may have news; nil for never.
  package var freshnessDeadline: Int64? {
    if info.settings.staleAfter <= 0 || freshness.isOverdue || freshness.given == .ended { return nil }
    let (deadline, overflow) = freshness.since.addingReportingOverflow(info.settings.staleAfter)
    return overflow ? nil : deadline
  }

  /// True if the topic has become stale. Only a message ends that: no heartbeat does, and no `set`.
  package func checkFreshness(now: Int64) -> Bool {
    guard let deadline = freshnessDeadline, now >= deadline else { return false }
    let before = state
    freshness.isOverdue = true
    return state != before
  }

  /// True if that changes something. `feed` and `cause` are texts for people, of which 256 bytes are kept. What the owner
  /// calls stale is live with the next message.
  package func set(_ state: TopicState, feed: [UInt8] = [], cause: [UInt8] = []) -> Bool {
    let before = freshness
    freshness.given = state
    freshness.feed = Topic.cut(feed)
    freshness.cause = Topic.cut(cause)
    return before.state != freshness.state || before.feed != freshness.feed || before.cause != freshness.cause
  }

  /// Whether the last word about its state was not that of another feed.
  package func isFed(by feed: [UInt8]) -> Bool { freshness.feed.isEmpty || freshness.feed == Topic.cut(feed) }

  /// At the end of a character.
  private static func cut(_ text: [UInt8]) -> [UInt8] {
    if text.count <= Freshness.maxText { return text }
    var size = Freshness.maxText
    while size > 0, text[size] & 0xC0 == 0x80 { size &-= 1 }
    return Array(text[..<size])
  }

  /// How long ago the last message came, in ns; -1 if there was none.
  package func age(now: Int64) -> Int64 { freshness.hasMessage ? max(0, now &- freshness.since) : -1 }

  /// A `topic_state` message.
  package func stateMessage(now: Int64) -> [UInt8] {
    var cause = freshness.cause
    if freshness.isOverdue, state == .stale {
      cause = []
      JSONText.append("no data for ", to: &cause)
      JSONText.appendSeconds(info.settings.staleAfter, to: &cause)
      JSONText.append(" s", to: &cause)
    }
    return HubMessage.topicState(info, state, age: age(now: now), feed: freshness.feed, cause: cause)
  }
}
