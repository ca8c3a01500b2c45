// SPDX-License-Identifier: Apache-2.0

/// What a feed has to subscribe at its exchange, by the topics that have peers. Without sockets and without a clock: who calls
/// gives the time (monotonic ns), and does what the steps say.
struct Demand {
  enum Step: Equatable {
    case subscribe(FeedSubscription)
    case unsubscribe(String)
    /// Nothing comes for that topic, and its peers have to know.
    case withhold(topic: String, Reason)
    /// The connection is for nothing now; for something again.
    case rest, rise
  }

  enum Reason: Equatable {
    /// Nobody is subscribed any more.
    case unwanted
    /// As many symbols are subscribed as may be.
    case full
    /// The exchange has rejected the subscription.
    case refused
  }

  private struct Entry {
    let subscription: FeedSubscription
    let openSymbol: String?
    /// Topics that have peers; those that it was ever for.
    var wanted: Set<String> = []
    var served: Set<String> = []
    /// nil: it is wanted.
    var idleSince: Int64?
    var isRefused = false
  }

  private var rules: FollowRules
  /// Something is subscribed in any case.
  private var isPinned: Bool
  private var entries: [String: Entry] = [:]
  /// How many subscriptions each symbol has that only peers have named; refused ones do not count.
  private var openSymbols: [String: Int] = [:]
  /// Topics for whose symbols there is no room, in order; of those beyond so many each waits until its next first peer.
  private var waiting: [String] = []
  private static let mostWaiting = 1000
  private var emptySince: Int64?
  private(set) var isResting = false

  /// `present`: what is subscribed already, and has as much time as what peers have just left.
  init(_ rules: FollowRules, isPinned: Bool, topics: Set<String> = [], present: [FeedSubscription] = [], now: Int64) {
    self.rules = rules
    self.isPinned = isPinned
    for subscription in present {
      entries[subscription.key] = Entry(
        subscription: subscription, openSymbol: nil, served: Set(rules.topics(of: subscription)), idleSince: now)
    }
    _ = take(rules, isPinned: isPinned, topics: topics, now: now)
  }

  /// What is to be subscribed now.
  var subscriptions: [FeedSubscription] { entries.values.lazy.filter { !$0.isRefused }.map(\.subscription) }

  /// When `tick` has something to do; nil: not before the next change.
  var deadline: Int64? {
    let idle = entries.values.lazy.compactMap(\.idleSince).min()
    return [idle, isResting ? nil : emptySince].compactMap { $0 }.min().map { $0 + rules.linger }
  }

  // MARK: Peers come and go

  /// The first peer of a topic.
  mutating func want(_ topic: String, now: Int64) -> [Step] {
    let steps = admit(topic)
    return steps + settle(now)
  }

  /// The last peer of a topic has gone.
  mutating func leave(_ topic: String, now: Int64) {
    waiting.removeAll { $0 == topic }
    for key in rules.wishes(topic).map(\.subscription.key) {
      guard entries[key]?.wanted.remove(topic) != nil else { continue }
      if entries[key]?.wanted.isEmpty == true { entries[key]?.idleSince = now }
    }
  }

  private mutating func admit(_ topic: String) -> [Step] {
    var steps: [Step] = []
    for wish in rules.wishes(topic) {
      let key = wish.subscription.key
      if entries[key] == nil {
        guard hasRoom(wish.openSymbol) else {
          if waiting.count < Demand.mostWaiting, !waiting.contains(topic) { waiting.append(topic) }
          return steps + [.withhold(topic: topic, .full)]
        }
        put(key, Entry(subscription: wish.subscription, openSymbol: wish.openSymbol))
        steps.append(.subscribe(wish.subscription))
      }
      entries[key]?.wanted.insert(topic)
      entries[key]?.served.insert(topic)
      entries[key]?.idleSince = nil
      if entries[key]?.isRefused == true { steps.append(.withhold(topic: topic, .refused)) }
    }
    return steps
  }

  /// A symbol that the exchange refuses takes nobody's place.
  private func hasRoom(_ symbol: String?) -> Bool {
    guard let symbol else { return true }
    return openSymbols[symbol] != nil || openSymbols.count < rules.mostSymbols
  }

  private mutating func put(_ key: String, _ entry: Entry) {
    _ = remove(key)
    entries[key] = entry
    count(entry, 1)
  }

  private mutating func remove(_ key: String) -> Entry? {
    guard let entry = entries.removeValue(forKey: key) else { return nil }
    count(entry, -1)
    return entry
  }

  private mutating func count(_ entry: Entry, _ change: Int) {
    guard let symbol = entry.openSymbol, !entry.isRefused else { return }
    let count = openSymbols[symbol, default: 0] + change
    openSymbols[symbol] = count > 0 ? count : nil
  }

  private mutating func setRefused(_ key: String) {
    guard var entry = entries[key] else { return }
    entry.isRefused = true
    put(key, entry)
  }

  // MARK: Time passes

  mutating func tick(now: Int64) -> [Step] {
    var steps: [Step] = []
    let due = entries.filter { entry in entry.value.idleSince.map { now - $0 >= rules.linger } ?? false }
    for key in due.keys.sorted() { steps += drop(key) }
    if !steps.isEmpty { steps += admitWaiting() }
    return steps + settle(now)
  }

  private mutating func drop(_ key: String) -> [Step] {
    guard let entry = remove(key) else { return [] }
    if entry.isRefused { return [] }
    return [.unsubscribe(key)] + entry.served.sorted().map { .withhold(topic: $0, .unwanted) }
  }

  private mutating func admitWaiting() -> [Step] {
    let topics = waiting
    waiting = []
    // Those that still have no room know it.
    return topics.flatMap { admit($0) }.filter { if case .withhold(_, .full) = $0 { false } else { true } }
  }

  /// Rests when nothing was subscribed for as long as a topic may linger.
  private mutating func settle(_ now: Int64) -> [Step] {
    let isEmpty = !isPinned && entries.values.allSatisfy(\.isRefused)
    if !isEmpty {
      emptySince = nil
      if !isResting { return [] }
      isResting = false
      return [.rise]
    }
    let since = emptySince ?? now
    emptySince = since
    if isResting || now - since < rules.linger { return [] }
    isResting = true
    return [.rest]
  }

  // MARK: Other changes

  /// The exchange has rejected a key: it is not asked for again before its peers have gone.
  mutating func refuse(_ key: String, now: Int64) -> [Step] {
    guard let entry = entries[key], !entry.isRefused else { return [] }
    setRefused(key)
    let steps: [Step] = entry.wanted.sorted().map { .withhold(topic: $0, .refused) }
    return steps + admitWaiting() + settle(now)
  }

  /// Other rules; `topics`: all that have peers. What is wanted by both stays as it is.
  mutating func take(_ rules: FollowRules, isPinned: Bool, topics: Set<String>, now: Int64) -> [Step] {
    let before = entries
    self.rules = rules
    self.isPinned = isPinned
    entries = [:]
    openSymbols = [:]
    waiting = []
    var steps: [Step] = []
    for topic in topics.sorted() { steps += admit(topic).filter { if case .withhold = $0 { true } else { false } } }
    for (key, entry) in before.sorted(by: { $0.key < $1.key }) {
      if entries[key]?.subscription == entry.subscription {
        if entry.isRefused { setRefused(key) }
        entries[key]?.served.formUnion(entry.served)
      } else if entries[key] == nil, !entry.isRefused, rules.make(entry.subscription, for: entry.served), hasRoom(entry.openSymbol) {
        put(key, entry)
        entries[key]?.wanted = []
        entries[key]?.idleSince = entry.idleSince ?? now
      } else if entries[key] == nil, !entry.isRefused {
        steps.append(.unsubscribe(key))
        steps += entry.served.sorted().map { .withhold(topic: $0, .unwanted) }
      }
    }
    for (key, entry) in entries.sorted(by: { $0.key < $1.key }) where before[key]?.subscription != entry.subscription {
      steps.append(.subscribe(entry.subscription))
    }
    return steps + settle(now)
  }
}
