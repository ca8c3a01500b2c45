// SPDX-License-Identifier: Apache-2.0
import PulseProcess
import PulseText
import PulseTopics
import PulseTransport
import PulseWire
import Synchronization

/// What a loop does for its peers besides their messages.
extension HubLoop {
  /// The connection is done with; it is told once.
  func peerEnded(_ connection: HubConnection, _ how: HubConnection.End) {
    guard let peer = connection.peer else { return }
    connection.leaveAll(peer)
    if let key = peer.userKey { hub.addresses.leave(key) }
    peer.queue.end()
    statistics.activeConnections &-= 1
    statistics.peersClosed &+= 1
    if isDraining { hub.drainedPeers.wrappingAdd(1, ordering: .relaxed) }
    guard hub.options.events.contains(.closed) else { return }
    let event = HubEvent(.closed, peer: connection.number)
    event.route = HubEvent.text(peer.route.path)
    event.code = Int32(peer.endCode)
    event.text = HubEvent.text(HubLoop.cause(how, peer).bytes)
    event.count = peer.queue.books.written
    hub.events.append(event)
  }

  private static func cause(_ how: HubConnection.End, _ peer: HubPeer) -> Sentence {
    let text = peer.transient?.endText ?? ""
    return switch how {
    case .closed: text
    case .lost: "the connection was cut"
    case .dead: "the peer was silent for heartbeat_timeout"
    case .idle: "the connection was idle"
    case .unanswered: text.bytes.isEmpty ? "the close frame was not answered in time" : text
    case .unwatched: "no descriptor was left to watch it"
    }
  }

  /// No peer of this loop is subscribed to the topic any more.
  func stopReading(_ entry: LoopTopic) {
    let topic = entry.topic
    topic.mutex.lock()
    let before = topic.topic.unreadBytes
    topic.topic.detach(index, now: Clock.monotonic())
    topic.readers &= ~(1 << UInt64(index))
    topic.notified &= ~(1 << UInt64(index))
    let after = topic.topic.unreadBytes
    if topic.readers == 0 { tell(.topicIdle, topic) }
    topic.mutex.unlock()
    if after != before { hub.unread.wrappingAdd(after &- before, ordering: .relaxed) }
  }

  /// That a topic has its first peer, or none any more. Under the topic's lock, so that the last word is true.
  func tell(_ kind: HubEventKind, _ topic: HubTopic) {
    guard hub.options.events.contains(kind) else { return }
    let event = HubEvent(kind)
    event.topic = HubEvent.text(topic.info.name)
    hub.events.append(event)
  }

  // MARK: Messages that say that the hub is there

  /// A timer for each route that asks for them; its tag is the place of the route.
  func startHeartbeats() {
    for route in hub.routes.all where route.options.heartbeatMessage > 0 { scheduleHeartbeat(route) }
  }

  private func scheduleHeartbeat(_ route: HubRoute) {
    let deadline = Clock.deadline(Clock.monotonic(), after: route.options.heartbeatMessage)
    while heartbeats.count <= route.index { heartbeats.append(.none) }
    heartbeats[route.index] = host.loop.schedule(self, tag: route.index, deadline: deadline)
  }

  func stopHeartbeats() {
    for timer in heartbeats { host.loop.cancel(timer) }
    heartbeats = []
  }

  func heartbeatMessagesAreDue(_ tag: Int, _ timer: TimerID) {
    guard tag >= 0, tag < heartbeats.count, heartbeats[tag] == timer else { return }
    let frame = SharedFrame.text(HubMessage.heartbeat(time: Clock.realtime()))
    sendToAll(frame, route: tag)
    if !isDraining { scheduleHeartbeat(hub.routes.all[tag]) }
  }
}

extension HubConnection {
  /// Answers what it was asked for, and ends. Who is not asking now may do so for as long as peers are closed, so that what
  /// looks at the hub's health hears of the drain.
  func drainRequests(_ spread: Int64) {
    // A peer that is closing has a time for that.
    guard let conversation else { return }
    if !conversation.isAnswering, output.isEmpty {
      return spread > 0 && phase == .requests ? schedule(.idle, after: spread) : end(.closed)
    }
    conversation.isLast = true
    readingIsPaused = true
  }

  /// Its part of a drain.
  func closeLater(at deadline: Int64) { schedule(.drain, at: deadline) }
}
