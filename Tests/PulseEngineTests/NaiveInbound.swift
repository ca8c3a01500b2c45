// SPDX-License-Identifier: Apache-2.0
import PulseFlow

@testable import PulseEngine

/// What arrives, as one would write it with arrays and dictionaries.
struct NaiveInbound {
  struct Item: Equatable {
    var text: String
    var key: String?
    var isEvent = false
    var isKept = false

    var size: Int { text.utf8.count }
    var cost: Int { size + MessageQueue.overhead }
  }

  struct Number {
    var key: String
    var first: Int64
    var last: Int64
    var previous: Int64?
  }

  let policy: ReceiveQueuePolicy
  let limit: Int
  let rule: SequenceCheck.Rule
  var now: Int64 = 0

  private(set) var items: [Item] = []
  private(set) var bytes = 0
  private var isConflating = false
  private var isAnnouncing = false

  private(set) var counts = Inbound.Counts()
  private(set) var dropped = 0
  private(set) var conflated = 0
  private var lostBytes = 0
  private var toldDrops = 0
  private var toldBytes = 0
  private(set) var nextDrops: Int64 = 0
  private var toldEvents: UInt64 = 0
  private var toldDiscarded: UInt64 = 0
  /// As the client that carries it out notes it.
  private(set) var done: [String] = []

  /// The highest number of each key, and the keys of which the present connection has brought something new.
  private var highest: [String: Int64] = [:]
  private var renewed: Set<String> = []
  private var isFirst = true
  private var copiesEnd: Int64 = 0
  /// Something was behind when copies had come to an end, which the next message of data tells.
  private var isBehind = false

  init(policy: ReceiveQueuePolicy, limit: Int, rule: SequenceCheck.Rule) {
    self.policy = policy
    self.limit = limit
    self.rule = rule
  }

  var makesRoom: Bool { policy == .dropOldest || policy == .conflate }
  var lost: Int { dropped + conflated }
  var hasDropNews: Bool { lost != toldDrops }
  var hasNews: Bool { hasDropNews || counts.eventsDropped != toldEvents }

  // MARK: Numbers

  mutating func startGeneration() {
    isFirst = false
    renewed = []
    copiesEnd = now + 10 * second
  }

  /// A message of data.
  mutating func offer(_ text: String, key: String?, _ number: Number?) {
    if let number {
      guard let number = admit(number) else {
        counts.duplicates += 1
        return
      }
      if isBehind { done.append("late") }
      isBehind = false
      judge(number)
    }
    add(text, key: policy == .conflate ? key : nil)
  }

  mutating func passOver(_ number: Number?) {
    if let number, let number = admit(number) { judge(number) }
  }

  mutating func takeAside(_ text: String) {
    add(text, key: nil)
    done.append("wake")
  }

  private mutating func admit(_ number: Number) -> Number? {
    if isFirst || renewed.contains(number.key) { return number }
    guard let before = highest[number.key] else {
      renewed.insert(number.key)
      return number
    }
    if number.last <= before && now < copiesEnd { return nil }
    renewed.insert(number.key)
    if number.last <= before {
      isBehind = true
      return number
    }
    // What both connections have of it is no step back.
    return Number(
      key: number.key, first: max(number.first, before + 1), last: number.last, previous: number.previous.map { max($0, before) })
  }

  private mutating func judge(_ number: Number) {
    let before = highest[number.key]
    let isNew = rule == .previous && (number.previous == nil || number.previous == before)
    highest[number.key] = isNew ? number.last : max(number.last, before ?? number.last)
    guard let before, !isNew else { return }
    if number.last == before {
      counts.repeats += 1
      tell(#"{"event":"repeat","key":"\#(number.key)","received":\#(number.last)}"#)
    } else if rule == .previous ? number.last < before || number.previous! < before : number.first <= before {
      counts.stepsBack += 1
      tell(#"{"event":"step_back","key":"\#(number.key)","received":\#(number.first),"last":\#(before)}"#)
    } else if rule == .previous {
      counts.gaps += 1
      tell(#"{"event":"gap","key":"\#(number.key)","expected":\#(before),"received":\#(number.first),"missing":null}"#)
    } else if rule == .consecutive && number.first > before + 1 {
      let missing = number.first - before - 1
      counts.gaps += 1
      counts.missing += UInt64(missing)
      tell(#"{"event":"gap","key":"\#(number.key)","expected":\#(before + 1),"received":\#(number.first),"missing":\#(missing)}"#)
    }
  }

  private mutating func tell(_ event: String) {
    emit(event)
    done.append("DEBUG \(event)")
  }

  // MARK: The queue

  private mutating func add(_ text: String, key: String?) {
    counts.messages += 1
    counts.payloadBytes += UInt64(text.utf8.count)
    append(Item(text: text, key: key))
    if isConflating, let key { conflate(key, before: items.count - 1) }
    if makesRoom { makeRoom() }
  }

  private mutating func append(_ item: Item) {
    items.append(item)
    bytes += item.cost
  }

  private mutating func remove(_ index: Int) -> Item {
    let item = items.remove(at: index)
    bytes -= item.cost
    return item
  }

  mutating func take(_ count: Int) -> [Item] {
    let taken = Array(items.prefix(count))
    items.removeFirst(taken.count)
    for item in taken { bytes -= item.cost }
    if items.isEmpty { isConflating = false }
    return taken
  }

  private mutating func conflate(_ key: String, before end: Int) {
    for index in 0..<end where items[index].key == key {
      conflated += 1
      lostBytes += remove(index).size
      return
    }
  }

  private mutating func makeRoom() {
    if bytes >= limit {
      if policy == .conflate && !isConflating {
        isConflating = true
        for key in Set(items.compactMap(\.key)) {
          while let last = items.lastIndex(where: { $0.key == key }), items[..<last].contains(where: { $0.key == key }) {
            conflate(key, before: last)
          }
        }
      }
      while bytes > limit, let index = next() {
        let item = remove(index)
        if item.isEvent {
          counts.eventsDropped += 1
        } else {
          dropped += 1
          lostBytes += item.size
        }
      }
    }
    announceDrops()
  }

  /// What goes next, if anything: a message, then an event that is not kept, then one that is; never the newest of all.
  private func next() -> Int? {
    guard items.count > 1, let newest = items.last else { return nil }
    var common: Int?
    for index in 0..<(items.count - 1) {
      if !items[index].isEvent { return index }
      if common == nil && !items[index].isKept { common = index }
    }
    if !newest.isEvent && bytes - newest.size <= limit { return nil }
    return common ?? (bytes > limit + MessageQueue.keptBytes ? 0 : nil)
  }

  // MARK: Events

  mutating func emit(_ event: String, isKept: Bool = true) {
    if !makesRoom && bytes >= limit + (isKept ? MessageQueue.keptBytes : 0) {
      counts.eventsDropped += 1
      return
    }
    emitMissed()
    put(event, isKept)
  }

  private mutating func put(_ event: String, _ isKept: Bool) {
    if items.isEmpty { done.append("wake") }
    append(Item(text: event, isEvent: true, isKept: isKept))
    if isAnnouncing || !makesRoom { return }
    isAnnouncing = true
    makeRoom()
    isAnnouncing = false
  }

  private mutating func emitMissed() {
    let missed = counts.eventsDropped - toldEvents
    if missed == 0 { return }
    toldEvents = counts.eventsDropped
    put(#"{"event":"events_dropped","events":\#(missed)}"#, true)
  }

  mutating func tellNews() {
    announceDrops()
    emitMissed()
  }

  mutating func announceDrops() {
    if !hasDropNews || now < nextDrops { return }
    nextDrops = now + second / 10
    let (messages, bytes) = (lost - toldDrops, lostBytes - toldBytes)
    (toldDrops, toldBytes) = (lost, lostBytes)
    let cause = policy == .conflate ? "conflate" : "drop_oldest"
    done.append("WARNING the queue of received messages is full: \(messages) messages dropped (\(cause))")
    emit(#"{"event":"receive_dropped","messages":\#(messages),"bytes":\#(bytes),"cause":"\#(cause)"}"#)
    done.append("wake")
  }

  mutating func discard() { counts.discarded += 1 }

  mutating func announceDiscarded() {
    let count = counts.discarded - toldDiscarded
    if count == 0 { return }
    toldDiscarded = counts.discarded
    done.append("WARNING \(count) messages discarded: they arrived after this side began to close")
    emit(#"{"event":"discarded","messages":\#(count),"cause":"they arrived after this side began to close"}"#)
  }
}
