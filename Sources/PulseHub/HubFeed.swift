// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseProcess
import PulseText
import PulseTopics
import PulseTransport
import Synchronization

/// What a client receives goes to topics, as a map says: on the client's loop, without a queue between. Guarded by the
/// client's lock; it takes the hub's only inside that.
package final class HubFeed: MessageTap, FeedTaker, @unchecked Sendable {
  private enum Mark {
    static var isFed: UInt8 { 1 }
    static var hasGap: UInt8 { 2 }
    static var wasSilent: UInt8 { 4 }
  }

  private let hub: Hub
  private let map: FeedMap
  /// For people: in `topic_state`.
  private let name: [UInt8]
  /// Gives the client its queue back.
  private let letGo: (HubFeed) -> Void
  /// What this feed has published to, and by the topic's number what is known of it.
  private var topics: [HubTopic] = []
  private var marks: [UInt8] = []
  /// The newest of each, likewise.
  private var orders: [Int64] = []
  /// How many messages are missing before the one that is being taken; -1: unknown. nil: none.
  private var missing: Int64?
  private var receivedAt: Int64 = 0
  private var incomplete: UInt64 = 0
  /// Of the hub's, guarded by its `inner`.
  fileprivate var next: HubFeed?

  init(_ hub: Hub, _ map: FeedMap, name: [UInt8], letGo: @escaping (HubFeed) -> Void) {
    self.hub = hub
    self.map = map
    self.name = name
    self.letGo = letGo
    super.init()
  }

  /// The hub ends. No lock is held.
  func leave() { letGo(self) }

  override package func take(_ payload: UnsafeRawBufferPointer, receivedAt: Int64) {
    let counters = hub.fed
    counters.messages.wrappingAdd(1, ordering: .relaxed)
    self.receivedAt = receivedAt
    if !map.apply(payload, receivedAt: receivedAt, self) { counters.unmatched.wrappingAdd(1, ordering: .relaxed) }
    missing = nil
    if map.incomplete != incomplete {
      counters.incomplete.wrappingAdd(map.incomplete &- incomplete, ordering: .relaxed)
      incomplete = map.incomplete
    }
  }

  package func take(_ output: FeedOutput) {
    let stamps = Stamps(exchange: output.exchangeTime, received: receivedAt)
    let isPublished = output.topic.withUnsafeBytes { name in
      output.key.withUnsafeBytes { key in
        output.payload.withUnsafeBytes { payload in
          guard case .topic(let topic) = hub.topics.get(name) else { return false }
          mark(topic)
          if isOutdated(topic, output.order) { return true }
          guard case .success = hub.publish(topic, key.isEmpty ? nil : key, payload, stamps) else { return false }
          if output.order >= 0 { orders[topic.number] = max(orders[topic.number], output.order) }
          return true
        }
      }
    }
    if !isPublished { hub.fed.refused.wrappingAdd(1, ordering: .relaxed) }
  }

  /// Behind what the topic has had, or once more what was its last.
  private func isOutdated(_ topic: HubTopic, _ order: Int64) -> Bool {
    if order < 0 { return false }
    while orders.count <= topic.number { orders.append(-1) }
    let newest = orders[topic.number]
    if order > newest || (order == newest && order & 1 == 0) { return false }
    hub.fed.outdated.wrappingAdd(1, ordering: .relaxed)
    return true
  }

  /// Before a message of the topic: its state says where the messages come from, and whether some are missing.
  private func mark(_ topic: HubTopic) {
    while marks.count <= topic.number { marks.append(0) }
    let before = marks[topic.number]
    if before & Mark.isFed == 0 { topics.append(topic) }
    if let missing {
      setGap(topic, missing)
    } else if before != Mark.isFed {
      marks[topic.number] = Mark.isFed
      if map.instead.isEmpty { set(topic, .live, "") } else { set(topic, .failover, "in the place of \(quoted: map.instead[...])") }
    }
  }

  private func set(_ topic: HubTopic, _ state: TopicState, _ cause: Sentence) {
    if topic.mutex.withLock({ topic.topic.set(state, feed: name, cause: cause.bytes) }) { hub.stateChanged(topic) }
  }

  private static func gapCause(_ missing: Int64) -> Sentence {
    missing > 0 ? "\(Int(missing)) messages of the feed are missing" : "messages of the feed are missing"
  }

  private func setGap(_ topic: HubTopic, _ missing: Int64) {
    marks[topic.number] = Mark.isFed | Mark.hasGap
    set(topic, .gap, HubFeed.gapCause(missing))
  }

  /// Tells it of the topics whose state is its own. Another feed may speak of the others: those hear with the next message.
  private func setAll(_ state: TopicState, _ mark: UInt8, _ cause: Sentence) {
    for topic in topics {
      marks[topic.number] = Mark.isFed | mark
      if topic.mutex.withLock({ topic.topic.isFed(by: name) }) { set(topic, state, cause) }
    }
  }

  /// Where numbers count a whole feed, each topic may lack what is missing.
  override package func missed(_ count: Int64, isOfAny: Bool) {
    missing = count
    if isOfAny { setAll(.gap, Mark.hasGap, HubFeed.gapCause(count)) }
  }

  override package func silenced(_ cause: String) { setAll(.stale, Mark.wasSilent, "\(cause)") }

  /// That its connection is gone was told before.
  override package func ended() { hub.forget(self) }
}

extension Hub {
  /// Puts a tap that does what the map says in the place of a client's queue; `place` and `letGo` are the client's part.
  package func feed(
    _ map: FeedMap, name: [UInt8], place: (MessageTap) -> StatusCode, letGo: @escaping (MessageTap) -> Void
  ) -> StatusCode {
    if state == .ended { return .closed }
    let feed = HubFeed(self, map, name: name, letGo: { letGo($0) })
    inner.withLock {
      feed.next = feeds
      feeds = feed
    }
    let status = place(feed)
    if status != .ok { forget(feed) }
    return status
  }

  func forget(_ feed: HubFeed) {
    inner.lock()
    if feeds === feed { feeds = feed.next }
    var before = feeds
    while let one = before {
      if one.next === feed { one.next = feed.next }
      before = one.next
    }
    inner.unlock()
  }

  /// No lock is held.
  func leaveFeeds() {
    // Nobody takes one out of the list meanwhile without its lock; each stays as long as it is the first.
    while let feed = inner.withLock({ feeds }) {
      feed.leave()
      forget(feed)
    }
  }
}

/// What came of the messages of feeds.
final class HubFed: Sendable {
  let messages = Atomic<UInt64>(0)
  let unmatched = Atomic<UInt64>(0)
  let incomplete = Atomic<UInt64>(0)
  let refused = Atomic<UInt64>(0)
  let outdated = Atomic<UInt64>(0)
}
