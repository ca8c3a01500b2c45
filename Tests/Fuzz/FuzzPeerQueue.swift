// SPDX-License-Identifier: Apache-2.0

/// A peer's queue under any order of calls: the books balance after each, and what is outgoing is bounded. Input: limits,
/// then a byte for each call.
func fuzzPeerQueue(_ bytes: UnsafeRawBufferPointer) {
  if bytes.count < 2 { return }
  let policy = SlowPolicy(rawValue: bytes[0] % 3) ?? .dropOldest
  let rules = QueueRules(policy: policy, maxMessages: 1 + Int(bytes[0] / 3), maxBytes: 150 << Int(bytes[1] % 8))
  var driver = QueueDriver(rules)
  for byte in bytes[2...].prefix(2000) { driver.call(byte) }
  driver.queue.end()
  fuzzRequire(driver.queue.books.queued == 0 && rules.books == driver.queue.books, "the books are not closed")
}

private struct QueueDriver {
  let queue: PeerQueue
  var topics: [Topic] = []
  var subscriptions: [Subscription?] = []
  let encoder = FrameEncoder(compressionThreshold: 150)

  init(_ rules: QueueRules) {
    queue = PeerQueue(rules, compresses: true)
    for number in 0..<3 {
      var settings = TopicSettings()
      settings.history = 40
      settings.latest = true
      if number > 0, case .success(let path) = JSONPath.parse(Array("k".utf8)) { settings.conflate = path }
      if number == 2 { settings.flush = 1 }
      let info = TopicInfo(name: [UInt8(ascii: "a") &+ UInt8(number)], number: UInt32(number), settings: settings)
      topics.append(Topic(info, epoch: Array("e".utf8), seed: 1, now: 0))
      subscriptions.append(nil)
    }
  }

  mutating func call(_ byte: UInt8) {
    let place = Int(byte >> 3) % 3
    let topic = topics[place]
    switch byte % 8 {
    case 0, 1, 2:
      let payload = Array("{\"k\":\(byte >> 5)}".utf8)
      let key = [UInt8](repeating: byte >> 5, count: 1)
      let made = payload.withUnsafeBytes { text in
        key.withUnsafeBytes { Publication.make(topic.info, text, key: byte < 200 ? $0 : nil, Stamps()) }
      }
      guard case .success(let publication) = made else { return fuzzRequire(false, "not made") }
      _ = topic.append(publication, now: 0)
    case 3: read(place, cut: nil)
    case 4: read(place, cut: Int(byte >> 5))
    case 5: toggle(place, since: byte >> 5)
    case 6: queue.fill(encoder)
    default:
      queue.advance(byte > 128 ? queue.outgoingBytes : min(Int(byte), queue.outgoingBytes))
      queue.shrink()
    }
    fuzzRequire(queue.books.queued == UInt64(queue.queuedMessages), "the books do not balance")
    var bytes = 0
    for index in 0..<queue.outgoingCount { bytes += queue.outgoing(index).count }
    fuzzRequire(bytes == queue.outgoingBytes && queue.outgoingCount < 64 + 4, "what is outgoing is not counted")
  }

  /// `cut`: what may go out at once does; 0 takes all of it, others leave that much of it behind.
  private func read(_ place: Int, cut: Int?) {
    var deliveries: [Delivery] = []
    topics[place].read(0, into: &deliveries, now: 0)
    guard let subscription = subscriptions[place] else { return }
    if let cut, let run = DeliveryRun(deliveries, of: topics[place].info), run.isNext(for: subscription, queue) {
      let frame = run.frame(subscription, queue, encoder)
      if cut == 0 { return run.wasWritten(subscription, queue) }
      run.wasCut(subscription, queue, encoder)
      fuzzRequire(queue.outgoingBytes == frame.count, "not what was begun is outgoing")
      return queue.advance(max(0, frame.count - cut))
    }
    for delivery in deliveries { queue.offer(delivery, subscription) }
  }

  private mutating func toggle(_ place: Int, since: UInt8) {
    if let subscription = subscriptions[place] {
      queue.unsubscribe(subscription)
      subscriptions[place] = nil
      return
    }
    topics[place].attach(0)
    var wish = SubscribeWish()
    wish.compressed = true
    wish.most = queue.resumeRoom
    wish.history = Int(since & 1)
    wish.since = ResumePoint(epoch: topics[place].epoch, offset: topics[place].end.offset &- UInt64(since))
    let cut = topics[place].subscribe(wish, now: 0)
    let subscription = queue.subscribe(topics[place].info, .pulse, at: cut.position)
    subscriptions[place] = subscription
    if let frame = cut.snapshotFrame(encoder) {
      queue.control(frame)
      topics[place].keep(frame, of: cut)
    }
    for delivery in cut.deliveries { queue.resume(delivery, subscription) }
  }
}
