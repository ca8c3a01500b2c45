// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// From a message that has arrived to the queue that the application takes from. `mutex` is held.
extension Client {
  private static let announcePause: Int64 = 100_000_000
  /// After so long a deadline is judged that found more to read (ns).
  static let lookAgainPause: Int64 = 1_000_000

  /// Something other than a copy to the queue has to be done with messages.
  var handlesMessages: Bool { feed != nil || primary != nil || boundsQueue || tap != nil || points != nil }

  /// The queue discards messages when it is full.
  var boundsQueue: Bool { options.receiveQueuePolicy == .dropOldest || options.receiveQueuePolicy == .conflate }

  func prepareDelivery() {
    feed = Feed.make(options, seed: (random.next64(), random.next64()))
    if options.resume { points = ResumePoints(seed: random.next64()) }
    if boundsQueue { inbox.bound(to: options.receiveQueueBytes) }
    handles = handlesMessages
  }

  /// Before anything else is done with a message: a heartbeat may have a number, too.
  func read(_ payload: UnsafeRawBufferPointer, on connection: Connection) {
    guard let feed else { return }
    feed.read(payload)
    if feed.isFull { warnThatKeysAreFull() }
    guard options.sequenceScope == .connection, let number = feed.number else { return }
    if connection.sequences == nil { connection.sequences = SequenceCheck(rule: feed.rule) }
    if let verdict = connection.sequences?.judge(
      number.key, first: number.first, last: number.last, previous: number.previous)
    {
      emit(verdict, number)
    }
  }

  /// The library has used it up; its number counts all the same.
  func passOver(on connection: Connection) {
    guard let feed, twin == nil, connection !== successor, options.sequenceScope != .connection, let number = feed.number,
      let next = feed.admit(number, now: arrivedAt)
    else { return }
    judge(next)
  }

  /// A message for the application, read before.
  func accept(_ message: WireMessage, receivedAt: Int64) {
    if feed?.number != nil { lastNumberAt = arrivedAt }
    pass(UInt32(message.kind.rawValue), message.flags, message.payload, receivedAt)
  }

  private func pass(_ kind: UInt32, _ flags: UInt32, _ payload: UnsafeRawBufferPointer, _ receivedAt: Int64) {
    if let primary {
      primary.takeFromTwin(kind, flags, payload, receivedAt, arrivedAt)
    } else if twin != nil {
      merge(kind, flags, payload, receivedAt, side: .url)
    } else {
      deliver(kind, flags, payload, receivedAt)
    }
  }

  /// A message that was parked until its connection took over.
  func deliverLater(_ record: MessageRecord) {
    feed?.read(record.payload)
    pass(record.kind, record.flags, record.payload, record.receivedAt)
  }

  /// From now on another connection brings the messages.
  func startSequencesAnew() {
    if let primary {
      primary.twinIsRenewed()
    } else if let twin {
      twin.merge.renew(Side.url.rawValue)
    } else if distinguishesCopies {
      feed?.startGeneration(Clock.monotonic())
    }
  }

  /// The message was read before.
  func deliver(_ kind: UInt32, _ flags: UInt32, _ payload: UnsafeRawBufferPointer, _ receivedAt: Int64) {
    var key = -1
    if let feed {
      if options.sequenceScope != .connection, let number = feed.number {
        guard let next = feed.admit(number, now: arrivedAt) else {
          statistics.duplicatesDiscarded &+= 1
          return
        }
        if feed.isBehind { warnOfScope(feed) }
        judge(next)
      }
      key = feed.key
      if key >= 0 && feed.staleness != nil { touch(key) }
    }
    if let points, kind == MessageCode.text {
      switch points.take(payload) {
      case .none: break
      case .repeated:
        statistics.duplicatesDiscarded &+= 1
        return
      case .gap(let topic, let from, let to): emitGap(topic, from, to)
      }
    }
    statistics.messagesReceived &+= 1
    statistics.payloadBytesReceived &+= UInt64(truncatingIfNeeded: payload.count)
    if let tap {
      tap.take(payload, receivedAt: receivedAt)
      return
    }
    if options.receiveQueuePolicy == .conflate {
      inbox.append(
        kind: kind, flags: flags, payload: payload, receivedAt: receivedAt, expected: payload.count, key: key)
    } else {
      inbox.append(kind: kind, flags: flags, payload: payload, receivedAt: receivedAt, expected: payload.count)
    }
    boundQueue()
  }

  @inline(never)
  private func warnOfScope(_ feed: Feed) {
    feed.isBehind = false
    log(.warning) {
      "the numbers of the new connection are still behind those of the one before it, so that its messages were discarded as "
        + "copies; if the server counts per connection, set sequence_scope to connection"
    }
  }

  // MARK: In the queue's place

  /// From now on `tap` takes what would be queued.
  package func setTap(_ tap: MessageTap) -> StatusCode {
    mutex.lock()
    defer { mutex.unlock() }
    if isClosedForGood { return .closed }
    if self.tap != nil { return .busy }
    self.tap = tap
    handles = handlesMessages
    return .ok
  }

  /// The queue takes messages again, if it was that tap that did.
  package func removeTap(_ tap: MessageTap) {
    mutex.lock()
    if self.tap === tap { self.tap = nil }
    handles = handlesMessages
    mutex.unlock()
  }

  // MARK: A full queue

  /// After each append, of an event, too.
  func boundQueue() {
    guard boundsQueue else { return }
    let limit = options.receiveQueueBytes
    guard inbox.isFull(limit) else {
      // What is replaced while the queue conflates makes room by itself.
      if inbox.conflatedCount != 0 { announceDrops() }
      return
    }
    let events = inbox.droppedEvents
    if options.receiveQueuePolicy == .conflate { inbox.conflate(toFit: limit) } else { inbox.dropOldest(toFit: limit) }
    statistics.eventsDropped &+= inbox.droppedEvents &- events
    announceDrops()
  }

  /// Ten times a second at most.
  func announceDrops() {
    let count = inbox.droppedCount &+ inbox.conflatedCount
    let bytes = inbox.droppedBytes &+ inbox.conflatedBytes
    if count == marks.receiveDropsEmitted { return }
    let now = Clock.monotonic()
    if now < marks.nextReceiveDrop {
      scheduleFlow(at: marks.nextReceiveDrop)
      return
    }
    marks.nextReceiveDrop = now &+ Client.announcePause
    let messages = count &- marks.receiveDropsEmitted
    let size = bytes &- marks.receiveDropBytesEmitted
    marks.receiveDropsEmitted = count
    marks.receiveDropBytesEmitted = bytes
    let policy: Literal = options.receiveQueuePolicy == .conflate ? "conflate" : "drop_oldest"
    log(.warning) { "the queue of received messages is full: \(messages) messages dropped (\(policy))" }
    emit(Event.receiveDropped(messages: Int(truncatingIfNeeded: messages), bytes: Int(truncatingIfNeeded: size), cause: policy))
    wake()
  }

  /// The connection is left until the application has taken half of the queue. True if that was to be done.
  func leavesSlowConsumer(_ connection: Connection) -> Bool {
    guard options.receiveQueuePolicy == .disconnect, !connection.ignoresLimit else { return false }
    connection.leave(
      Failure(
        .slowConsumer,
        "\(connection.url.redacted): receive_queue_bytes (\(options.receiveQueueBytes)) wait to be taken by the application"
      ))
    return true
  }

  /// After it was left for a slow consumer the next attempt waits for half of the queue to be free.
  var waitsForConsumer: Bool {
    options.receiveQueuePolicy == .disconnect && (pausesForPrimary || inbox.bytes > options.receiveQueueBytes / 2)
  }

  // MARK: Sequences

  private func judge(_ number: FeedNumber) {
    guard let feed else { return }
    let verdict = feed.check.judge(number.key, first: number.first, last: number.last, previous: number.previous)
    switch verdict {
    case .first, .fine: break
    default: emit(verdict, number)
    }
  }

  @inline(never)
  private func emit(_ verdict: SequenceCheck.Verdict, _ number: FeedNumber) {
    guard let feed else { return }
    let text: Sentence
    let key = String(bytes: feed.sequenceKey(number.key))
    switch verdict {
    case .first, .fine:
      return
    case .gap(let expected, let missing):
      statistics.sequenceGaps &+= 1
      if missing > 0 { statistics.sequenceMissing &+= UInt64(missing) }
      tap?.missed(missing, isOfAny: options.sequenceKey.isEmpty)
      text = Event.gap(
        key: key, expected: Int(expected), received: Int(number.first), missing: missing < 0 ? nil : Int(missing))
    case .repeated:
      statistics.sequenceRepeats &+= 1
      text = Event.repeat(key: key, received: Int(number.last))
    case .stepBack(let last):
      statistics.sequenceStepsBack &+= 1
      text = Event.stepBack(key: key, received: Int(number.first), last: Int(last))
    }
    if emitsEvents { emit(text) }
    log(.debug) { text }
  }

  /// What the hub has told; the message that tells it follows.
  @inline(never)
  private func emitGap(_ topic: [UInt8], _ from: Int64?, _ to: Int64) {
    let missing = from.map { max(to &- $0 &+ 1, 0) }
    statistics.sequenceGaps &+= 1
    if let missing { statistics.sequenceMissing &+= UInt64(missing) }
    tap?.missed(missing ?? -1, isOfAny: false)
    let text = Event.gap(
      key: String(bytes: topic), expected: Int(from ?? 0), received: Int(to &+ 1), missing: missing.map { Int($0) })
    emit(text)
    log(.debug) { text }
  }

  private func warnThatKeysAreFull() {
    guard let feed, feed.isFull, !marks.keysAreFullEmitted else { return }
    marks.keysAreFullEmitted = true
    log(.warning) {
      "there are more than \(KeyTable.maxKeys) keys, or longer ones than \(KeyTable.maxKeySize) bytes: those are not tracked"
    }
  }

  var keyCount: Int { feed?.keyCount ?? 0 }

  // MARK: Staleness of keys

  private func touch(_ key: Int) {
    let now = arrivedAt
    if let silence = feed?.staleness?.touch(key, now) { emitKey("fresh_key", key, silence) }
    if !isScheduled(.keys) { scheduleKeys() }
  }

  /// A connection begins: every key has its time again.
  func restartKeys() {
    if feed?.staleness == nil { return }
    feed?.staleness?.restart(Clock.monotonic())
    if !isScheduled(.keys) { scheduleKeys() }
  }

  private func scheduleKeys(notBefore earliest: Int64 = .min) {
    guard let next = feed?.staleness?.nextDeadline else { return }
    schedule(.keys, at: max(next, earliest))
  }

  func keysAreDue() {
    // Without a connection, and while reading pauses, silence says nothing about a key.
    guard isConnected else { return }
    if connection?.readingPaused == true || twin?.isPaused == true { feed?.staleness?.restart(Clock.monotonic()) }
    let now = host.loop.turnTime
    let readUpTo = connection?.readUpTo ?? now
    var isNews = false
    while let (key, silence) = feed?.staleness?.expire(readUpTo) {
      statistics.staleKeys &+= 1
      emitKey("stale_key", key, silence &+ (now &- readUpTo))
      isNews = true
    }
    if isNews { wake() }
    scheduleKeys(notBefore: now &+ Client.lookAgainPause)
  }

  private func emitKey(_ event: Literal, _ index: Int, _ silence: Int64) {
    guard let keys = feed?.keys else { return }
    let key = String(bytes: keys.key(index))
    emit(Event.staleKey(event, key: key, silence: silence), isKept: false)
    log(.info) { "\(event) \(key)" }
  }
}
