// SPDX-License-Identifier: Apache-2.0

/// Reads what a feed subscribes: streams x symbols x intervals, and keys as they are.
struct FeedSubscriptions {
  static let keys = ["subscribe", "symbols", "streams", "intervals", "follow", "linger", "quote", "most_symbols"]
  private static let mostKeys = 10_000
  private static let mostLinger: Int64 = 86_400_000_000_000
  /// How long all symbols of a feed may be without a trade before it counts as silent.
  private static let quiet = "5m"

  /// Subscribed as long as the feed is there.
  private(set) var always: [Located<FeedSubscription>] = []
  /// Subscribed for topics that have peers.
  private(set) var follow: FollowRules?
  /// Of the client, for a stream that the preset does not subscribe.
  private(set) var options: [OptionSetting] = []

  private let section: Section
  private let symbols: [Located<String>]
  private let intervals: [Located<String>]
  /// Any symbol that a peer asks for.
  private let star: Located<String>?

  /// `given`: the options of the client so far; `map`: its lines.
  init(_ section: Section, _ given: [OptionSetting], map: String?) {
    self.section = section
    let named = section.texts("symbols") ?? []
    symbols = named.filter { $0.value != "*" }
    star = named.first { $0.value == "*" }
    intervals = section.texts("intervals") ?? []
    let streams = section.texts("streams") ?? []
    let keys = section.texts("subscribe") ?? []
    readFollow()
    let preset = given.last { $0.name == "preset" }?.value
    let known = preset.flatMap { FeedStreams.known[$0] }
    if let preset, let known, let form = known.form { setChannel(preset, known, form, streams, given) }
    for stream in streams {
      if let known, let template = known.streams[stream.value] {
        add(stream, template, known, map)
      } else if let known {
        let names = known.streams.keys.sorted().joined(separator: ", ")
        error(stream.line, "\"streams\" of \(section.title) are of \(names), and not \"\(stream.value)\"; \"subscribe\" takes any key")
      } else {
        error(stream.line, "\"streams\" of \(section.title) are known for some presets only; \"subscribe\" takes any key")
      }
    }
    for key in keys {
      let template = FeedStreams.Template(key: key.value)
      for wanted in made(template, key, [:], isOpen: false) { append(wanted.subscription, key.line) }
    }
    finish(hasStreams: !streams.isEmpty)
  }

  private func error(_ line: Int, _ sentence: String) { section.findings.error(line, sentence) }

  private mutating func readFollow() {
    let isFollowing = section.flag("follow") ?? false
    let linger = section.time("linger", "0 to 1d", 0...FeedSubscriptions.mostLinger)
    let quote = section.text("quote")
    let most = section.count("most_symbols", 1...FeedSubscriptions.mostKeys)
    if isFollowing {
      var rules = FollowRules()
      rules.linger = linger ?? rules.linger
      rules.mostSymbols = most ?? rules.mostSymbols
      rules.quote = quote?.value
      follow = rules
    } else {
      for (key, isThere) in [("linger", linger != nil), ("quote", quote != nil), ("most_symbols", most != nil)] where isThere {
        error(section.node(key)?.line ?? section.line, "\"\(key)\" of \(section.title) needs \"follow\" to be true")
      }
      if let star { error(star.line, "\"symbols\" of \(section.title) has \"*\", which needs \"follow\" to be true") }
    }
    if isFollowing, star == nil {
      for (key, isThere) in [("quote", quote != nil), ("most_symbols", most != nil)] where isThere {
        error(section.node(key)?.line ?? section.line, "\"\(key)\" of \(section.title) is for \"symbols\" with \"*\"")
      }
    }
  }

  private mutating func add(_ stream: Located<String>, _ template: FeedStreams.Template, _ known: FeedStreams, _ map: String?) {
    if follow == nil {
      for wanted in made(template, stream, known.intervals, isOpen: star != nil) { append(wanted.subscription, stream.line) }
      return
    }
    guard let map else { return }
    guard let rule = TopicRule(stream.value, inMap: map), !rule.hasInterval || template.hasInterval else {
      return error(
        stream.line,
        "\"follow\" of \(section.title) needs to know the topics of \"\(stream.value)\": the map has no \"rule=\(stream.value)\" whose "
          + "topic has the symbol first, and then the interval")
    }
    for wanted in made(template, stream, known.intervals, isOpen: star != nil) {
      follow?.add(rule.topic(template.asTold(wanted.symbol), wanted.interval), wanted.subscription)
    }
    if star != nil {
      let names = template.hasInterval ? intervals.map { known.intervals[$0.value] ?? $0.value } : [""]
      follow?.open.append(FollowRules.OpenStream(template: template, rule: rule, intervals: names))
    }
  }

  /// What the client of a preset with a `form` needs for its one stream.
  private mutating func setChannel(
    _ preset: String, _ known: FeedStreams, _ form: String, _ streams: [Located<String>], _ given: [OptionSetting]
  ) {
    guard let stream = streams.first, let template = known.streams[stream.value] else { return }
    func isOne(_ names: [Located<String>], _ key: String) {
      guard let other = names.first(where: { $0.value != names[0].value }) else { return }
      error(other.line, "\"\(key)\" of \(section.title) is one only, since keys of \(preset) do not say which: write a feed for each")
    }
    isOne(streams, "streams")
    if stream.value == "candle" {
      isOne(intervals, "intervals")
      let names = known.intervals.keys.sorted { CandleTopic.length($0) ?? 0 < CandleTopic.length($1) ?? 0 }
      for interval in intervals where known.intervals[interval.value] == nil {
        error(interval.line, "\"intervals\" of \(section.title) are of \(names.joined(separator: ", ")), and not \"\(interval.value)\"")
      }
    }
    guard let requests = template.requests(form, intervals.first.flatMap { known.intervals[$0.value] } ?? "") else { return }
    for setting in given where requests.contains(where: { $0.name == setting.name }) {
      error(
        setting.line, "\"\(setting.name)\" of \(section.title) goes with \"subscribe\": the stream \"\(stream.value)\" has one of its own")
    }
    options = requests.map { OptionSetting(name: $0.name, value: $0.value, line: stream.line) }
    // That of the preset is for prices: without a trade there is neither a trade nor a candle.
    if !given.contains(where: { $0.name == "stale_timeout" }) {
      options.append(OptionSetting(name: "stale_timeout", value: FeedSubscriptions.quiet, line: stream.line))
    }
  }

  private mutating func append(_ subscription: FeedSubscription, _ line: Int) {
    if !always.contains(where: { $0.value == subscription }) { always.append(Located(value: subscription, line: line)) }
  }

  /// A key for each symbol and interval; `origin`: the stream or the text of the configuration; `names`: what the exchange calls
  /// intervals; `isOpen`: peers name symbols, too.
  private func made(_ template: FeedStreams.Template, _ origin: Located<String>, _ names: [String: String], isOpen: Bool)
    -> [(symbol: String, interval: String, subscription: FeedSubscription)]
  {
    var wanted = [("", "")]
    if template.hasSymbol { wanted = symbols.map { ($0.value, "") } }
    if template.hasSymbol, wanted.isEmpty, !isOpen { error(origin.line, "\"\(origin.value)\" of \(section.title) needs \"symbols\"") }
    if template.hasInterval {
      if intervals.isEmpty { error(origin.line, "\"\(origin.value)\" of \(section.title) needs \"intervals\"") }
      wanted = wanted.flatMap { pair in intervals.map { (pair.0, names[$0.value] ?? $0.value) } }
    }
    return wanted.map { ($0.0, $0.1, template.subscription($0.0, $0.1)) }
  }

  private mutating func finish(hasStreams: Bool) {
    follow?.pinned = Set(always.map(\.value.key))
    if always.count + (follow?.fixedCount ?? 0) > FeedSubscriptions.mostKeys {
      error(section.line, "\(section.title) has more than \(FeedSubscriptions.mostKeys) keys")
    }
    if let line = (symbols.first ?? star ?? intervals.first)?.line, !hasStreams, always.isEmpty {
      error(line, "\(section.title) has symbols or intervals, but neither \"streams\" nor \"subscribe\" to use them")
    }
    if follow != nil, !hasStreams {
      error(
        section.node("follow")?.line ?? section.line,
        "\"follow\" of \(section.title) needs \"streams\": of no other keys the topics are known")
    }
  }
}
