// SPDX-License-Identifier: Apache-2.0

/// Which subscriptions of a feed stand for which topics: those of a feed that follows its subscribers.
struct FollowRules: Equatable, Sendable {
  struct Wish: Equatable {
    let subscription: FeedSubscription
    /// Of a symbol that only a peer has named.
    let openSymbol: String?
  }

  /// A stream of which peers may name any symbol.
  struct OpenStream: Equatable, Sendable {
    let template: FeedStreams.Template
    let rule: TopicRule
    /// As the exchange writes them; one empty text for a stream without.
    let intervals: [String]
  }

  static let mostSymbols = 200
  static let linger: Int64 = 30_000_000_000
  /// Of letters and digits, without the quote.
  private static let longestSymbol = 32

  var fixed: [String: [FeedSubscription]] = [:]
  var open: [OpenStream] = []
  /// Keys that are subscribed in any case, and so nobody's wish.
  var pinned: Set<String> = []
  /// What `*` has at its end; nil: what the map takes off.
  var quote: String?
  /// How many symbols that only peers have named may be subscribed at a time.
  var mostSymbols = FollowRules.mostSymbols
  /// How long a topic keeps its subscription without a peer (ns).
  var linger = FollowRules.linger

  mutating func add(_ topic: String, _ subscription: FeedSubscription) {
    if !fixed[topic, default: []].contains(subscription) { fixed[topic, default: []].append(subscription) }
  }

  func wishes(_ topic: String) -> [Wish] {
    let wishes = fixed[topic].map { $0.map { Wish(subscription: $0, openSymbol: nil) } } ?? openWishes(topic)
    return wishes.filter { !pinned.contains($0.subscription.key) }
  }

  private func openWishes(_ topic: String) -> [Wish] {
    var wishes: [Wish] = []
    for stream in open {
      for interval in stream.intervals {
        guard let symbol = symbol(topic, stream, interval) else { continue }
        let wish = Wish(subscription: stream.template.subscription(symbol, interval), openSymbol: symbol)
        if !wishes.contains(wish) { wishes.append(wish) }
      }
    }
    return wishes
  }

  /// The symbol whose messages have that topic: the quote stands at its end.
  private func symbol(_ topic: String, _ stream: OpenStream, _ interval: String) -> String? {
    let (before, after) = stream.rule.frame(interval)
    guard topic.utf8.count > before.utf8.count + after.utf8.count, topic.hasPrefix(before), topic.hasSuffix(after) else { return nil }
    let name = String(topic.dropFirst(before.count).dropLast(after.count))
    let quote = quote ?? stream.rule.stripped ?? ""
    for symbol in [name + quote, name] where symbol.hasSuffix(quote) {
      let base = symbol.dropLast(quote.count)
      // What peers write gets into messages for the exchange.
      guard !base.isEmpty, base.utf8.count <= FollowRules.longestSymbol, base.utf8.allSatisfy(FollowRules.isLetterOrDigit) else { continue }
      if stream.rule.topic(stream.template.asTold(symbol), interval) == topic { return symbol }
    }
    return nil
  }

  private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
    default: false
    }
  }

  /// Whether a subscription that served these topics is still one of these rules.
  func make(_ subscription: FeedSubscription, for topics: some Sequence<String>) -> Bool {
    topics.contains { topic in wishes(topic).contains { $0.subscription == subscription } }
  }

  /// The topics of a subscription whose symbol is in the configuration.
  func topics(of subscription: FeedSubscription) -> [String] {
    fixed.filter { $0.value.contains(subscription) }.map(\.key)
  }

  /// How many subscriptions there are for symbols of the configuration.
  var fixedCount: Int { Set(fixed.values.joined().lazy.map(\.key)).subtracting(pinned).count }
}
