// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseProcess
import PulseText
import PulseTopics
import PulseTransport
import PulseWire

/// A topic with its lock, and which loops read it.
final class HubTopic: @unchecked Sendable {  // what is not constant is guarded by `mutex`
  let info: TopicInfo
  /// Its place in the tables of the loops.
  let number: Int
  let mutex = Mutex()
  let topic: Topic
  /// Who may subscribe; nil: nobody by himself, since no pattern names the topic.
  let access: TopicAccess?
  /// Of all loops.
  var subscribers = 0
  /// The loops that have subscribers, a bit each, and those that know already that there is something to read.
  var readers: UInt64 = 0
  var notified: UInt64 = 0

  init(_ topic: Topic, access: TopicAccess?, number: Int) {
    self.topic = topic
    self.access = access
    info = topic.info
    self.number = number
  }
}

/// The topics of a hub by name, and what their patterns ask for.
final class HubTopicTable: @unchecked Sendable {  // guarded by `mutex`; the rules are constant once the hub runs
  /// Topics of a hub, all patterns together.
  static let most = KeyTable.maxKeys

  private final class Rule {
    let pattern: TopicPattern
    var options = TopicOptions()

    init(_ pattern: TopicPattern) { self.pattern = pattern }
  }

  private let mutex = Mutex()
  private let names: KeyTable
  private var topics: [HubTopic] = []
  /// Topics that peers have made by asking for them. They may take half of the places, so that the application finds one.
  private var asked = 0
  /// Those that may become stale.
  private var watched: [HubTopic] = []
  private var rules: [Rule] = []
  private let epoch: [UInt8]
  private let seed: UInt64

  init(epoch: [UInt8], seed: UInt64) {
    self.epoch = epoch
    self.seed = seed
    names = KeyTable(seed: seed, limit: HubTopicTable.most)
  }

  // MARK: Rules

  /// With an empty name the pattern is only made known.
  func set(_ text: [UInt8], _ name: [UInt8], _ value: [UInt8]) -> Failure? {
    var found: Rule?
    for rule in rules where HTTPText.same(rule.pattern.text[...], text[...]) { found = rule }
    guard let rule = found ?? TopicPattern(text).map({ Rule($0) }) else {
      return Failure(
        .badValue, "\(quoted: text[...]) is no pattern of topics; such are price.SOL, price.* and price.**")
    }
    if !name.isEmpty, let refusal = rule.options.set(name, value) { return Failure(refusal) }
    if found == nil { rules.append(rule) }
    return nil
  }

  /// The rule that says most about the name; nil if no pattern matches it.
  private func rule(_ name: [UInt8]) -> Rule? {
    var best: Rule?
    for rule in rules where rule.pattern.matches(name) {
      if let best, !rule.pattern.isMoreSpecific(than: best.pattern) { continue }
      best = rule
    }
    return best
  }

  // MARK: Topics

  func find(_ name: UnsafeRawBufferPointer) -> HubTopic? {
    mutex.lock()
    defer { mutex.unlock() }
    let index = names.find(name)
    return index >= 0 && index < topics.count ? topics[index] : nil
  }

  enum Lookup {
    case topic(HubTopic)
    /// The name can't be that of a topic.
    case badName
    /// No pattern matches it.
    case unknown
    /// There are as many as there may be.
    case full
    /// It is not there yet, and is not made for who asks.
    case forbidden(Sentence)
    case noRoom
  }

  /// A peer that wants to subscribe.
  struct Asker {
    let identity: HubIdentity?
    /// It may have one more subscription.
    let hasRoom: Bool
  }

  /// The topic, made if a pattern matches its name and the peer that asks may subscribe to it; without such a peer whatever
  /// its name.
  func get(_ name: UnsafeRawBufferPointer, for asker: Asker? = nil) -> Lookup {
    mutex.lock()
    defer { mutex.unlock() }
    let found = names.find(name)
    if found >= 0, found < topics.count { return .topic(topics[found]) }
    return make(name, asker)
  }

  @inline(never)
  private func make(_ name: UnsafeRawBufferPointer, _ asker: Asker?) -> Lookup {
    if !TopicName.isValid(name) { return .badName }
    let bytes = Array(name)
    let rule = rule(bytes)
    if let asker {
      guard let rule else { return .unknown }
      if let why = rule.options.subscribers.refusal(asker.identity, bytes) { return .forbidden(why) }
      if !asker.hasRoom { return .noRoom }
      if asked >= HubTopicTable.most / 2 { return .full }
      asked &+= 1
    }
    let number = names.index(of: name)
    guard number == topics.count else { return .full }
    let options = rule?.options ?? TopicOptions()
    let info = TopicInfo(name: bytes, number: UInt32(number), settings: TopicSettings(options))
    let made = Topic(info, epoch: epoch, seed: seed &+ UInt64(number), now: Clock.monotonic())
    let topic = HubTopic(made, access: rule == nil ? nil : options.subscribers, number: number)
    topics.append(topic)
    if info.settings.staleAfter > 0 { watched.append(topic) }
    return .topic(topic)
  }

  /// How often to look whether a topic has become stale, in ns; nil if none can.
  var watchInterval: Int64? {
    var least = Int64.max
    for rule in rules where rule.options.staleAfter > 0 { least = min(least, rule.options.staleAfter) }
    return least == .max ? nil : max(20_000_000, min(least / 8, 1_000_000_000))
  }

  /// Topics that have become stale since the last look.
  func becameStale(_ now: Int64) -> [HubTopic] {
    let looked = mutex.withLock { watched }
    var stale: [HubTopic] = []
    for topic in looked {
      topic.mutex.lock()
      if let deadline = topic.topic.freshnessDeadline, deadline <= now, topic.topic.checkFreshness(now: now) { stale.append(topic) }
      topic.mutex.unlock()
    }
    return stale
  }

  var count: Int { mutex.withLock { topics.count } }
}

extension TopicSettings {
  init(_ options: TopicOptions) {
    self.init()
    history = options.history
    historyBytes = options.historyBytes
    historyAge = options.historyAge
    conflate = options.conflate
    latest = options.latest
    maxKeys = options.maxKeys
    flush = options.flush
    staleAfter = options.staleAfter
    isBinary = options.binary
  }
}

/// What a loop has to do with a topic: who of its peers are subscribed.
final class LoopTopic {
  let topic: HubTopic
  var subscribers: [Subscription] = []
  /// When its messages have been gathered long enough; 0 if there are none.
  var flushAt: Int64 = 0

  init(_ topic: HubTopic) { self.topic = topic }

  func add(_ subscription: Subscription) {
    subscription.place = Int32(truncatingIfNeeded: subscribers.count)
    subscribers.append(subscription)
  }

  func remove(_ subscription: Subscription) {
    let place = Int(subscription.place)
    guard place >= 0, place < subscribers.count, subscribers[place] === subscription, let last = subscribers.popLast() else { return }
    if last !== subscription {
      subscribers[place] = last
      last.place = subscription.place
    }
    subscription.place = -1
  }
}
