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

  /// A topic has messages that this loop has not read: they go out now, or when they have been gathered long enough.
  func topicHasNews(_ topic: HubTopic, isAlone: Bool) {
    guard let entry = known(topic) else { return }
    if topic.info.settings.flush == 0 { return distribute(entry, isAlone: isAlone) }
    if entry.flushAt != 0 { return }
    entry.flushAt = Clock.deadline(host.loop.turnTime, after: topic.info.settings.flush)
    gathering.append(entry)
    if flushTimer == nil || entry.flushAt < flushAt { scheduleFlush(entry.flushAt) }
  }

  private func scheduleFlush(_ deadline: Int64) {
    cancelFlush()
    flushAt = deadline
    flushTimer = host.loop.schedule(self, tag: HubLoop.flushTag, deadline: deadline)
  }

  func cancelFlush() {
    if let flushTimer { host.loop.cancel(flushTimer) }
    flushTimer = nil
  }

  /// Topics that gather no longer than the one that is due go with it, so that a peer with many gets them in one write.
  func flushTopics() {
    flushTimer = nil
    let all = gathering
    gathering = []
    var longest: Int64 = 0
    for entry in all {
      if let entry, entry.flushAt <= flushAt { longest = max(longest, entry.topic.info.settings.flush) }
    }
    var count = 0
    for entry in all {
      if let entry, entry.topic.info.settings.flush <= longest { count &+= 1 }
    }
    var next = Int64.max
    for entry in all {
      guard let entry else { continue }
      if entry.topic.info.settings.flush <= longest {
        entry.flushAt = 0
        distribute(entry, isAlone: count == 1)
      } else {
        gathering.append(entry)
        next = min(next, entry.flushAt)
      }
    }
    if next < .max { scheduleFlush(next) }
  }

  /// Gives what came since the last time to each subscriber. `isAlone`: no other topic has something for them in this turn.
  func distribute(_ entry: LoopTopic, isAlone: Bool) {
    let topic = entry.topic
    var deliveries: [Delivery] = []
    topic.mutex.lock()
    topic.notified &= ~(1 << UInt64(index))
    let before = topic.topic.unreadBytes
    topic.topic.read(index, into: &deliveries, now: host.loop.turnTime)
    let after = topic.topic.unreadBytes
    topic.mutex.unlock()
    if after != before { hub.unread.wrappingAdd(after &- before, ordering: .relaxed) }
    if !deliveries.isEmpty { offer(deliveries, to: entry, isAlone: isAlone) }
  }

  /// One subscriber after the other, so that what belongs to it is looked at once for all.
  private func offer(_ deliveries: [Delivery], to entry: LoopTopic, isAlone: Bool) {
    let run = isAlone ? DeliveryRun(deliveries, of: entry.topic.info) : nil
    var place = 0
    while place < entry.subscribers.count {
      let subscription = entry.subscribers[place]
      place &+= 1
      fetchAhead(entry, place)
      guard let queue = subscription.queue, let connection = connection(at: queue.tag) else { continue }
      if let run, connection.takes(run, subscription, queue) {
        connection.write(run, subscription, queue)
      } else {
        setDue(connection)
        for delivery in deliveries {
          let offer = queue.offer(delivery, subscription)
          if offer != .queued { isSlow(connection, offer) }
        }
      }
      // It was taken out of the list, and another stands at its place.
      if Int(subscription.place) != place &- 1 { place &-= 1 }
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
