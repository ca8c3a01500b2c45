// SPDX-License-Identifier: Apache-2.0

/// How a feed's candles are had from the exchange's REST interface.
struct HistoryConfig: Equatable, Sendable {
  /// The patterns of topics with candles, in the maps of all presets that have a source.
  static let pattern = "candle.*.*"
  /// How long all feeds together may keep the hub from starting (ns), unless set.
  static let defaultTimeout: Int64 = 5_000_000_000
  private static let most = 5000
  private static let defaultPause: Int64 = 100_000_000

  /// Of `HistorySource.known`.
  let preset: String
  /// How many closed candles each topic should have.
  let wanted: Int
  let url: String
  let pause: Int64
  /// As the client has them; nil: the environment's proxy, the system's authorities.
  let proxy: String?
  let caFile: String?
  let proxyCAFile: String?
  /// Of the symbols that the configuration names.
  let topics: [CandleTopic]
  /// As the exchange writes them.
  let intervals: [String]
  let line: Int

  var source: HistorySource? { HistorySource.known[preset] }

  static func == (left: HistoryConfig, right: HistoryConfig) -> Bool {
    left.isSame(right) && left.topics == right.topics && left.intervals == right.intervals
  }

  /// But for its topics.
  func isSame(_ other: HistoryConfig) -> Bool {
    preset == other.preset && wanted == other.wanted && url == other.url && pause == other.pause && proxy == other.proxy
      && caFile == other.caFile && proxyCAFile == other.proxyCAFile
  }

  static let keys = ["history", "history_url", "history_pause"]

  /// nil for a feed without; also for one with errors.
  static func read(_ section: Section, preset: String?, map: String?, feedURL: String?, options: [OptionSetting]) -> HistoryConfig? {
    let line = section.node("history")?.line ?? section.line
    let wanted = section.count("history", 0...most) ?? 0
    let given = readURL(section)
    let pause = section.time("history_pause", "0 to 1m", 0...60_000_000_000) ?? defaultPause
    if wanted == 0 { return nil }
    func fail(_ line: Int, _ sentence: String) -> HistoryConfig? {
      section.findings.error(line, sentence)
      return nil
    }
    guard let preset, let source = HistorySource.known[preset] else {
      return fail(line, "\"history\" of \(section.title) is for the presets \(HistorySource.known.keys.sorted().joined(separator: ", "))")
    }
    if let map, map != preset { return fail(line, "\"history\" of \(section.title) goes with the map of its preset, and not with another") }
    if wanted > source.reach { return fail(line, "\"history\" of \(section.title) is at most \(source.reach): the exchange gives no more") }
    guard let url = given?.value ?? feedURL.flatMap({ source.url(ofFeed: $0) }) else {
      return fail(line, "\"history\" of \(section.title) needs \"history_url\": the feed's URL does not say which market it is")
    }
    if !["http://", "https://"].contains(where: { url.hasPrefix($0) && url.utf8.count > $0.utf8.count }) || url.contains("#") {
      return fail(given?.line ?? line, "\"history_url\" of \(section.title) is a URL with https or http, and not \"\(url)\"")
    }
    if source.url?.contains("{symbol}") == true, !url.contains("{symbol}") {
      return fail(given?.line ?? line, "\"history_url\" of \(section.title) needs \"{symbol}\" where the symbol stands in it")
    }
    let (topics, intervals) = readTopics(section, preset)
    if intervals.isEmpty {
      return fail(line, "\"history\" of \(section.title) is of candles: \"streams\" has to name them, with symbols and intervals")
    }
    func option(_ name: String) -> String? { options.last { $0.name == name }?.value }
    return HistoryConfig(
      preset: preset, wanted: wanted, url: url, pause: pause, proxy: option("proxy").map { $0 == "none" ? "" : $0 },
      caFile: option("ca_file"),
      proxyCAFile: option("proxy_ca_file"), topics: topics, intervals: intervals, line: line)
  }

  private static func readURL(_ section: Section) -> Located<String>? {
    let inside = section.text("history_url")
    let outside = section.elsewhere("history_url")
    if let inside, outside != nil { section.findings.error(inside.line, "\"history_url\" of \(section.title) is given twice") }
    if let inside, inside.value.contains("@") { section.findings.keep(secret: inside.value, inFileAt: inside.line) }
    return inside ?? outside
  }

  /// Of each symbol and interval that the stream `candle` is subscribed with.
  private static func readTopics(_ section: Section, _ preset: String) -> (topics: [CandleTopic], intervals: [String]) {
    guard section.texts("streams")?.contains(where: { $0.value == "candle" }) == true else { return ([], []) }
    let symbols = (section.texts("symbols") ?? []).map(\.value)
    var topics: [CandleTopic] = []
    var intervals: [String] = []
    for given in readIntervals(section, preset) where !symbols.isEmpty {
      let interval = FeedStreams.known[preset]?.intervals[given.value] ?? given.value
      intervals.append(interval)
      for symbol in symbols where symbol != "*" {
        if let topic = topic(symbol, interval, preset), !topics.contains(topic) { topics.append(topic) }
      }
      if topic("X", interval, preset) == nil {
        section.findings.error(
          given.line, "\"history\" of \(section.title) is not for the interval \"\(given.value)\": its candles are not all of one length")
      }
    }
    return (topics, intervals)
  }

  /// Where the stream has no interval, the exchange has one only.
  private static func readIntervals(_ section: Section, _ preset: String) -> [Located<String>] {
    let given = section.texts("intervals") ?? []
    guard let known = FeedStreams.known[preset], known.streams["candle"]?.hasInterval == false else { return given }
    return known.intervals.keys.map { Located(value: $0, line: section.line) }
  }

  /// nil if the interval, as the exchange writes it, is none of one length.
  static func topic(_ symbol: String, _ interval: String, _ preset: String) -> CandleTopic? {
    guard let template = FeedStreams.known[preset]?.streams["candle"],
      let rule = TopicRule("candle", inMap: OptionTable.library.lines(ofMap: preset))
    else { return nil }
    let told = template.asTold(symbol)
    let name = rule.topic(told, interval)
    let (before, after) = rule.frame(interval)
    let short = String(name.dropFirst(before.count).dropLast(after.count))
    let shown = String(after.drop { $0 == "." })
    guard let length = CandleTopic.length(shown) else { return nil }
    return CandleTopic(name: name, symbol: short, interval: shown, length: length, exchangeSymbol: told, exchangeInterval: interval)
  }

  /// The topic of a symbol that only a peer has named.
  func topic(_ name: String, of symbol: String) -> CandleTopic? {
    for interval in intervals {
      if let topic = HistoryConfig.topic(symbol, interval, preset), topic.name == name { return topic }
    }
    return nil
  }
}
