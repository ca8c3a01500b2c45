// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseProcess
import PulseServe
import PulseText
import PulseTopics
import PulseTransport
import PulseWire

/// What a peer sends, and how it is closed.
extension HubConnection {
  func receiveFrames(_ bytes: UnsafeMutableRawBufferPointer, from offset: inout Int) {
    guard let peer else { return }
    while phase == .open || phase == .closing {
      // One message may ask for more than fits the memory of many peers.
      if phase == .open, peer.isFlooding || peer.transient?.heldWishes.isEmpty == false {
        peer.makeTransient().heldBytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[offset...]))
        return holdBack(peer)
      }
      switch peer.wire.receive(bytes, from: &offset) {
      case .needMoreBytes: return
      case .message(let message): if phase == .open { receive(message, peer) }
      case .ping(let payload): if phase == .open { peer.pong(payload) }
      case .pong: owner.statistics.pongsReceived &+= 1
      case .close(let code, let reason): return closeReceived(code, reason, peer)
      case .failure(let failure):
        owner.statistics.protocolErrors &+= 1
        return failed(failure, peer)
      }
    }
  }

  private func receive(_ message: WireMessage, _ peer: HubPeer) {
    owner.statistics.messagesReceived &+= 1
    let now = owner.host.loop.turnTime
    guard peer.messages.take(1, now: now), peer.bytes.take(message.payload.count, now: now) else {
      owner.statistics.rateExceeded &+= 1
      return close(code: CloseCode.rate, HubConnection.text("the peer sends more than it may (peer_messages, peer_bytes)"))
    }
    guard message.kind == .text else {
      return peer.awaitsToken ? tell(peer, [], "unauthenticated", "the message auth comes first", []) : hand(message, peer)
    }
    let parsed = PeerMessage.parse(message.payload)
    if peer.awaitsToken {
      switch parsed.content {
      case .auth, .ping: break
      default: return tell(peer, parsed.id, "unauthenticated", "the message auth comes first", [])
      }
    }
    switch parsed.content {
    case .ping(let sent): peer.reply(HubMessage.pong(id: parsed.id, sent: sent, time: Clock.realtime()))
    case .subscribe(let wishes): subscribe(to: wishes, id: parsed.id, peer)
    case .unsubscribe(let wishes): for wish in wishes { unsubscribe(from: wish.name, id: parsed.id) }
    case .auth(let token): authenticate(token, id: parsed.id, peer)
    case .invalid(let problem): tell(peer, parsed.id, problem.code, "\(problem.sentence)", [])
    case .application: hand(message, peer)
    }
  }

  /// For the application, if it wants messages.
  private func hand(_ message: WireMessage, _ peer: HubPeer) {
    guard hub.wantsMessages else {
      owner.statistics.messagesIgnored &+= 1
      return tell(peer, [], "not_understood", "nobody here takes messages of this kind", [])
    }
    let event = HubEvent(.message, peer: number)
    event.route = HubEvent.text(peer.route.path)
    event.code = Int32(message.kind == .text ? MessageCode.text : MessageCode.binary)
    event.data = Array(message.payload)
    hub.events.append(event)
  }

  func tell(_ peer: HubPeer, _ id: [UInt8], _ code: Literal, _ why: Sentence, _ topic: [UInt8]) {
    peer.reply(HubMessage.error(id: id, code: code, message: why.bytes, topic: topic))
  }

  /// The peer has taken what it was given: what it asked for besides, and sent behind that.
  func takeHeldBack(_ peer: HubPeer) {
    peer.wasFlooding = false
    // Replies may be all that comes of it.
    owner.setDue(self)
    if let rest = peer.transient {
      let wishes = rest.heldWishes
      rest.heldWishes = []
      subscribe(to: wishes, id: rest.heldID, peer)
      if peer.wasFlooding { return }
      var bytes = rest.heldBytes
      rest.heldBytes = []
      bytes.withUnsafeMutableBytes {
        var offset = 0
        if $0.count > 0 { receiveFrames($0, from: &offset) }
      }
    }
    resumeReading()
  }

  // MARK: Topics

  /// As many as fit now; the rest when the peer has taken these.
  func subscribe(to wishes: [TopicWish], id: [UInt8], _ peer: HubPeer) {
    for place in 0..<wishes.count {
      if peer.isFlooding {
        let rest = peer.makeTransient()
        rest.heldWishes = Array(wishes[place...])
        rest.heldID = id
        return holdBack(peer)
      }
      subscribe(to: wishes[place], id: id)
    }
  }

  func subscribe(to wish: TopicWish, id: [UInt8]) {
    guard let peer else { return }
    let hasRoom = peer.queue.subscriptionCount < hub.options.subscriptionsPerPeer
    let asker = HubTopicTable.Asker(identity: peer.identity, hasRoom: hasRoom)
    switch wish.name.withUnsafeBytes({ hub.topics.get($0, for: asker) }) {
    case .topic(let topic):
      guard let access = topic.access else { return tellUnknown(peer, id, wish.name) }
      if let why = access.refusal(peer.identity, wish.name) { return tell(peer, id, "topic_forbidden", why, wish.name) }
      if !hasRoom, peer.queue.subscription(to: topic.info) == nil { return tellNoRoom(peer, id, wish.name) }
      subscribe(to: topic, wish, id: id)
    case .badName: tell(peer, id, "bad_topic", "this is not the name of a topic", wish.name)
    case .unknown: tellUnknown(peer, id, wish.name)
    case .full: tell(peer, id, "too_many_topics", "the hub has as many topics as it may have", wish.name)
    case .forbidden(let why): tell(peer, id, "topic_forbidden", why, wish.name)
    case .noRoom: tellNoRoom(peer, id, wish.name)
    }
  }

  private func tellNoRoom(_ peer: HubPeer, _ id: [UInt8], _ name: [UInt8]) {
    tell(peer, id, "too_many_subscriptions", "a peer may have \(hub.options.subscriptionsPerPeer) subscriptions", name)
  }

  private func tellUnknown(_ peer: HubPeer, _ id: [UInt8], _ name: [UInt8]) {
    tell(peer, id, "no_such_topic", "there is no topic of this name here", name)
  }

  /// By the application, whatever the peer's rights are.
  func give(_ topic: HubTopic) {
    subscribe(to: topic, TopicWish(name: topic.info.name), id: [])
    peer?.queue.subscription(to: topic.info)?.isGiven = true
  }

  /// The end of the history and the place among the subscribers are taken in one step. Who is subscribed already and
  /// names a place to go on from begins anew.
  private func subscribe(to topic: HubTopic, _ wish: TopicWish, id: [UInt8]) {
    guard let peer, phase == .open else { return }
    let entry = owner.loopTopic(topic)
    if wish.since != nil || wish.history > 0 { unsubscribe(from: topic) }
    let isNew = peer.queue.subscription(to: topic.info) == nil
    let ask = SubscribeWish(wish, peer)
    // What the others have not been given yet must not reach the newcomer twice.
    owner.distribute(entry, isAlone: false)
    guard phase == .open else { return }
    topic.mutex.lock()
    if isNew {
      topic.subscribers &+= 1
      if entry.subscribers.isEmpty {
        if topic.readers == 0 { owner.tell(.topicWanted, topic) }
        topic.topic.attach(owner.index)
        topic.readers |= 1 << UInt64(owner.index)
      }
    }
    let count = topic.subscribers
    let cut = topic.topic.subscribe(ask, now: owner.host.loop.turnTime)
    topic.mutex.unlock()
    if peer.isPulse { peer.reply(HubMessage.subscribed(cut, id: id)) }
    guard isNew else { return }
    let subscription = peer.queue.subscribe(topic.info, ask.form, at: cut.position)
    entry.add(subscription)
    owner.statistics.subscriptions &+= 1
    deliver(cut, wish, subscription, topic, peer)
    tellTopic(.subscribe, topic, count, peer)
  }

  private func deliver(_ cut: Cut, _ wish: TopicWish, _ subscription: Subscription, _ topic: HubTopic, _ peer: HubPeer) {
    if wish.since != nil {
      if cut.gap == nil { owner.statistics.resumesRecovered &+= 1 } else { owner.statistics.resumesGapped &+= 1 }
    }
    if let gap = cut.gap, peer.isPulse {
      owner.statistics.gapsSent &+= 1
      peer.reply(HubMessage.gap(topic.info, gap))
    }
    if let frame = cut.snapshotFrame(owner.encoder) {
      owner.statistics.snapshotsSent &+= 1
      peer.queue.control(frame)
      topic.mutex.withLock { topic.topic.keep(frame, of: cut) }
    }
    for delivery in cut.deliveries { peer.queue.resume(delivery, subscription) }
    owner.setDue(self)
  }

  func unsubscribe(from name: [UInt8], id: [UInt8]) {
    guard let peer else { return }
    if let topic = name.withUnsafeBytes({ hub.topics.find($0) }) { unsubscribe(from: topic) }
    if peer.isPulse { peer.reply(HubMessage.unsubscribed(name, id: id)) }
  }

  func unsubscribe(from topic: HubTopic) {
    guard let peer, let subscription = peer.queue.subscription(to: topic.info) else { return }
    leave(subscription, peer)
    peer.queue.unsubscribe(subscription)
  }

  /// Ends what the peer asked for with a token that allowed more than its present one.
  func leaveForbidden(_ peer: HubPeer) {
    var next = peer.queue.firstSubscription
    while let subscription = next {
      next = subscription.next
      guard !subscription.isGiven,
        let topic = owner.topics[Int(subscription.topic.number)]?.topic,
        let why = topic.access?.refusal(peer.identity, topic.info.name)
      else { continue }
      unsubscribe(from: topic)
      tell(peer, [], "topic_forbidden", why, topic.info.name)
    }
  }

  /// Of a subscription that ends, or whose peer does.
  func leave(_ subscription: Subscription, _ peer: HubPeer) {
    guard let entry = owner.topics[Int(subscription.topic.number)] else { return }
    entry.remove(subscription)
    owner.statistics.subscriptions &-= 1
    let topic = entry.topic
    topic.mutex.lock()
    topic.subscribers &-= 1
    let count = topic.subscribers
    topic.mutex.unlock()
    tellTopic(.unsubscribe, topic, count, peer)
    if entry.subscribers.isEmpty { owner.stopReading(entry) }
  }

  func leaveAll(_ peer: HubPeer) {
    var next = peer.queue.firstSubscription
    while let subscription = next {
      leave(subscription, peer)
      next = subscription.next
    }
  }

  private func tellTopic(_ kind: HubEventKind, _ topic: HubTopic, _ count: Int, _ peer: HubPeer) {
    guard hub.options.events.contains(kind) else { return }
    let event = HubEvent(kind, peer: number)
    event.route = HubEvent.text(peer.route.path)
    event.topic = HubEvent.text(topic.info.name)
    event.count = UInt64(count)
    hub.events.append(event)
  }

  // MARK: Closing

  /// The close frame goes out before what waits; that counts as dropped.
  func close(code: UInt16, _ reason: [UInt8]) {
    guard phase == .open, let peer else { return }
    phase = .closing
    peer.endCode = code
    peer.makeTransient().endText = Sentence(reason[...])
    leaveAll(peer)
    peer.queue.discard()
    peer.queue.control(.close(code, reason))
    schedule(.close, after: hub.options.closeTimeout)
    owner.setDue(self)
  }

  /// The same behind the messages that wait, as far as they go out in time.
  func closeAfterMessages(_ code: UInt16, _ reason: [UInt8]) {
    guard phase == .open, let peer else { return }
    if !peer.queue.hasWork { return close(code: code, reason) }
    peer.closesWhenEmpty = code
    peer.makeTransient().closeReason = reason
    schedule(.close, after: hub.options.closeTimeout)
    owner.setDue(self)
  }

  private func closeReceived(_ code: UInt16, _ reason: UnsafeRawBufferPointer, _ peer: HubPeer) {
    if phase == .open {
      close(code: code == CloseCode.absent ? CloseCode.normal : code, [])
      peer.makeTransient().endText = Sentence(Array(reason)[...])
      peer.endCode = code
    }
    peer.closeIsAnswered = true
    readingIsPaused = true
    owner.setDue(self)
  }

  private func failed(_ failure: WireFailure, _ peer: HubPeer) {
    if phase == .closing { return end(.lost) }
    close(code: failure.closeCode, Array(failure.text.bytes))
    // Nothing behind what could not be read means anything.
    peer.closeIsAnswered = true
    readingIsPaused = true
  }
}

extension SubscribeWish {
  init(_ wish: TopicWish, _ peer: HubPeer) {
    self.init()
    since = wish.since
    history = wish.history
    form = peer.isPulse ? .pulse : .plain
    compressed = peer.queue.compresses
    most = peer.queue.resumeRoom
  }
}
