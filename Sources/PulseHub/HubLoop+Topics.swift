// SPDX-License-Identifier: Apache-2.0
import PulseProcess
import PulseText
import PulseTopics
import PulseTransport
import PulseWire
import Synchronization

/// From topics to the queues of peers.
extension HubLoop {
  /// The reader's number is the place of the loop.
  func loopTopic(_ topic: HubTopic) -> LoopTopic {
    while topics.count <= topic.number { topics.append(nil) }
    if let found = topics[topic.number] { return found }
    let made = LoopTopic(topic)
    topics[topic.number] = made
    return made
  }

  private func known(_ topic: HubTopic) -> LoopTopic? { topic.number < topics.count ? topics[topic.number] : nil }

  /// A topic has messages that this loop has not read: they go out now, or with others when the topic flushes.
  func topicHasNews(_ topic: HubTopic) {
    guard let entry = known(topic) else { return }
    if topic.info.settings.flush > 0 {
      if entry.flushTimer != nil { return }
      let flusher = TopicFlusher(self, entry)
      entry.flushTimer = host.loop.schedule(
        flusher, deadline: Clock.deadline(host.loop.turnTime, after: topic.info.settings.flush))
      return
    }
    distribute(entry)
  }

  func flushIsDue(_ entry: LoopTopic) {
    entry.flushTimer = nil
    distribute(entry)
    flushDue()
  }

  /// Gives what came since the last time to the queue of each subscriber.
  func distribute(_ entry: LoopTopic) {
    let topic = entry.topic
    deliveries.removeAll(keepingCapacity: deliveries.capacity <= 4096)
    topic.mutex.lock()
    topic.notified &= ~(1 << UInt64(index))
    let before = topic.topic.unreadBytes
    topic.topic.read(index, into: &deliveries, now: host.loop.turnTime)
    let after = topic.topic.unreadBytes
    topic.mutex.unlock()
    if after != before { hub.unread.wrappingAdd(after &- before, ordering: .relaxed) }
    offer(deliveries, to: entry)
  }

  /// One subscriber after the other, so that what belongs to it is looked at once for all.
  private func offer(_ deliveries: [Delivery], to entry: LoopTopic) {
    var place = 0
    while place < entry.subscribers.count, !deliveries.isEmpty {
      let subscription = entry.subscribers[place]
      place &+= 1
      guard let queue = subscription.queue, let connection = connection(at: queue.tag) else { continue }
      setDue(connection)
      var wasEnded = false
      for delivery in deliveries {
        let offer = queue.offer(delivery, subscription)
        if offer == .queued { continue }
        isSlow(connection, offer)
        if offer == .disconnect { wasEnded = true }
      }
      // It was taken out of the list, and another stands at its place.
      if wasEnded, place <= entry.subscribers.count, subscription.place != place &- 1 { place &-= 1 }
    }
  }

  private func isSlow(_ connection: HubConnection, _ offer: Offer) {
    guard let peer = connection.peer else { return }
    if !peer.wasSlow {
      peer.wasSlow = true
      statistics.peersSlow &+= 1
      if hub.options.events.contains(.slow) {
        let event = HubEvent(.slow, peer: connection.number)
        event.route = HubEvent.text(peer.route.path)
        event.code = Int32(hub.options.slowPolicy.rawValue)
        event.count = peer.queue.books.dropped &+ peer.queue.books.conflated
        hub.emit(event)
      }
    }
    if offer == .disconnect { connection.close(code: CloseCode.tooSlow, HubLoop.slowText) }
  }

  static var slowText: [UInt8] { ("the peer reads more slowly than messages come" as Sentence).bytes }

  // MARK: Freshness

  /// A message about a topic to all of its subscribers that speak `pulse.v1`.
  func tellState(_ topic: HubTopic) {
    guard let entry = known(topic), !entry.subscribers.isEmpty else { return }
    let text = topic.mutex.withLock { topic.topic.stateMessage(now: host.loop.turnTime) }
    let frame = SharedFrame.text(text)
    for subscription in entry.subscribers where subscription.form == .pulse {
      guard let queue = subscription.queue, let connection = connection(at: queue.tag) else { continue }
      if let peer = connection.peer { give(frame, to: connection, peer) }
    }
  }
}

/// Fires when a topic's messages have been gathered long enough.
private final class TopicFlusher: EventHandler, @unchecked Sendable {  // guarded by the loop's mutex
  private let owner: HubLoop
  private let entry: LoopTopic

  init(_ owner: HubLoop, _ entry: LoopTopic) {
    self.owner = owner
    self.entry = entry
  }

  override func timerFired(_ tag: Int) {
    owner.mutex.lock()
    defer { owner.mutex.unlock() }
    if entry.flushTimer != nil { owner.flushIsDue(entry) }
  }
}
