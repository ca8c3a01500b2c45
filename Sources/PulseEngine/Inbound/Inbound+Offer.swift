// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

/// What a message is to the rules: copies, gaps, keys; then the queue, or the tap in its place.
extension Inbound {
  /// A message with its number, or an event, as it lies in the queue.
  package struct Arrival {
    package let kind: UInt32
    package let flags: UInt32
    package let payload: UnsafeRawBufferPointer
    /// Since 1970, in nanoseconds.
    package let receivedAt: Int64

    package init(kind: UInt32, flags: UInt32, payload: UnsafeRawBufferPointer, receivedAt: Int64) {
      self.kind = kind
      self.flags = flags
      self.payload = payload
      self.receivedAt = receivedAt
    }
  }

  /// Before anything else is done with a message: a heartbeat may have a number, too. `line`: the numbers of its connection,
  /// where those count for themselves.
  package func read(_ payload: UnsafeRawBufferPointer, line: inout SequenceCheck?) {
    guard let feed else { return }
    feed.read(payload)
    if feed.isFull { warnThatKeysAreFull() }
    guard rules.countsConnection, let number = feed.number else { return }
    if line == nil { line = SequenceCheck(rule: feed.rule) }
    if let verdict = line?.judge(number.key, first: number.first, last: number.last, previous: number.previous) {
      tell(verdict, number)
    }
  }

  /// The library has used up the message that was read; its number counts all the same.
  package func passOver() {
    guard let feed, !rules.hasTwin, !rules.countsConnection, let number = feed.number,
      let next = feed.admit(number, now: moment.now)
    else { return }
    judge(next)
  }

  /// A message of data, which was read. `side`: of two lines the one that brings it.
  package func offer(_ message: Arrival, side: Int = 0) {
    if let merge { join(message, side, merge) } else { deliver(message) }
  }

  func deliver(_ message: Arrival) {
    var key = -1
    if let feed {
      if !rules.countsConnection, let number = feed.number {
        guard let next = feed.admit(number, now: moment.now) else {
          counts.duplicates &+= 1
          return
        }
        if feed.isBehind { warnOfScope(feed) }
        judge(next)
      }
      key = feed.key
      if key >= 0 && feed.staleness != nil { touch(key) }
    }
    if let points, message.kind == MessageCode.text {
      switch points.take(message.payload) {
      case .none: break
      case .repeated:
        counts.duplicates &+= 1
        return
      case .gap(let topic, let from, let to): tellGap(topic, from, to)
      }
    }
    if let tap {
      count(message)
      tap.take(message.payload, receivedAt: message.receivedAt)
      return
    }
    append(message, key)
  }

  /// For the application, but not as data.
  package func takeAside(_ message: Arrival, side: Int = 0) {
    if let merge, !merge.takesAside(side) {
      counts.duplicates &+= 1
      return
    }
    append(message, -1)
    actions.wake()
  }

  private func count(_ message: Arrival) {
    counts.messages &+= 1
    counts.payloadBytes &+= UInt64(truncatingIfNeeded: message.payload.count)
  }

  @inline(__always)
  private func append(_ message: Arrival, _ key: Int) {
    count(message)
    if rules.policy == .conflate {
      queue.append(
        kind: message.kind, flags: message.flags, payload: message.payload, receivedAt: message.receivedAt,
        expected: message.payload.count, key: key)
    } else {
      queue.append(
        kind: message.kind, flags: message.flags, payload: message.payload, receivedAt: message.receivedAt,
        expected: message.payload.count)
    }
    if rules.policy.makesRoom { makeRoom() }
  }

  /// There was no room for it, or this side has begun to close.
  package func discard() { counts.discarded &+= 1 }

  // MARK: Numbers

  private func judge(_ number: FeedNumber) {
    guard let feed else { return }
    let verdict = feed.check.judge(number.key, first: number.first, last: number.last, previous: number.previous)
    switch verdict {
    case .first, .fine: break
    default: tell(verdict, number)
    }
  }

  @inline(never)
  private func tell(_ verdict: SequenceCheck.Verdict, _ number: FeedNumber) {
    guard let feed else { return }
    let text: Sentence
    let key = String(bytes: feed.sequenceKey(number.key))
    switch verdict {
    case .first, .fine:
      return
    case .gap(let expected, let missing):
      countGap(missing < 0 ? nil : missing, isOfAny: rules.sequenceKey.isEmpty)
      text = Event.gap(
        key: key, expected: Int(expected), received: Int(number.first), missing: missing < 0 ? nil : Int(missing))
    case .repeated:
      counts.repeats &+= 1
      text = Event.repeat(key: key, received: Int(number.last))
    case .stepBack(let last):
      counts.stepsBack &+= 1
      text = Event.stepBack(key: key, received: Int(number.first), last: Int(last))
    }
    tell(text)
  }

  /// What the hub has told; the message that tells it follows.
  @inline(never)
  private func tellGap(_ topic: [UInt8], _ from: Int64?, _ to: Int64) {
    let missing = from.map { max(to &- $0 &+ 1, 0) }
    countGap(missing, isOfAny: false)
    tell(
      Event.gap(
        key: String(bytes: topic), expected: Int(from ?? 0), received: Int(to &+ 1), missing: missing.map { Int($0) }))
  }

  private func countGap(_ missing: Int64?, isOfAny: Bool) {
    counts.gaps &+= 1
    counts.missing &+= UInt64(truncatingIfNeeded: missing ?? 0)
    tap?.missed(missing ?? -1, isOfAny: isOfAny)
  }

  private func tell(_ event: Sentence) {
    emit(event)
    actions.log(.debug, event)
  }

  @inline(never)
  private func warnOfScope(_ feed: Feed) {
    feed.isBehind = false
    actions.log(
      .warning,
      "the numbers of the new connection are still behind those of the one before it, so that its messages were discarded as copies; if the server counts per connection, set sequence_scope to connection"
    )
  }

  private func warnThatKeysAreFull() {
    if told.keysAreFull { return }
    told.keysAreFull = true
    actions.log(
      .warning,
      "there are more than \(KeyTable.maxKeys) keys, or longer ones than \(KeyTable.maxKeySize) bytes: those are not tracked")
  }
}
