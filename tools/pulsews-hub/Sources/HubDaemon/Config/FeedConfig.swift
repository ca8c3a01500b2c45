// SPDX-License-Identifier: Apache-2.0

/// A subscription of a feed's client.
struct FeedSubscription: Hashable {
  let key: String
  var message: String?
  var unsubscribe: String?
}

/// A feed: a client of the library, and the map by which its messages become those of topics.
struct FeedConfig: Equatable {
  let name: String
  let url: Located<String>
  let options: [OptionSetting]
  /// The name of a map that the library knows, or the text of one.
  let map: Located<String>
  let subscriptions: [Located<FeedSubscription>]

  /// The same connection: a change of subscriptions alone needs no other.
  func isSameConnection(_ other: FeedConfig) -> Bool {
    url == other.url && options == other.options && map == other.map
  }
}

extension FeedConfig {
  private static let own = ["url", "map", "subscribe", "symbols", "streams", "intervals"]
  private static let mostKeys = 10_000

  /// nil, with errors, if it can't be one.
  static func read(_ name: String, _ node: ConfigNode, _ findings: Findings, _ surroundings: Surroundings, _ table: OptionTable)
    -> FeedConfig?
  {
    let section = Section("[feed.\(name)]", node, findings, surroundings)
    defer { section.finish() }
    let urls = readURLs(section)
    var options = section.options(.client, table, except: own)
    if !options.contains(where: { $0.name == "name" }) {
      options.append(OptionSetting(name: "name", value: name, line: node.line))
    }
    options += urls.dropFirst().map { OptionSetting(name: "endpoints", value: $0.value, line: $0.line) }
    let preset = options.last { $0.name == "preset" }?.value
    let map = readMap(section, preset, table)
    let subscriptions = readSubscriptions(section, preset)
    guard let url = urls.first else {
      if section.node("url") == nil { findings.error(node.line, "\(section.title) needs \"url\"") }
      return nil
    }
    guard let map else { return nil }
    return FeedConfig(name: name, url: url, options: options, map: map, subscriptions: subscriptions)
  }

  private static func readURLs(_ section: Section) -> [Located<String>] {
    let inside = section.texts("url") ?? []
    for url in inside where url.value.split(separator: "/").contains(where: { $0.contains("@") }) {
      section.findings.keep(secret: url.value, inFileAt: url.line)
    }
    return inside + (section.elsewhere("url").map { [$0] } ?? [])
  }

  private static func readMap(_ section: Section, _ preset: String?, _ table: OptionTable) -> Located<String>? {
    let inside = section.text("map")
    let outside = section.elsewhere("map")
    if let inside, outside != nil { section.findings.error(inside.line, "\"map\" of \(section.title) is given twice") }
    if let given = inside ?? outside {
      if given.value.contains("=") || table.maps.contains(given.value) { return given }
      let hint = NearestName.of(given.value, among: table.maps).map { "; \"\($0)\" is spelled nearly so" } ?? ""
      section.findings.error(
        given.line,
        "there is no map \"\(given.value)\"\(hint); there are: \(table.maps.joined(separator: ", ")), or lines of your own")
      return nil
    }
    if let preset, table.maps.contains(preset) { return Located(value: preset, line: section.line) }
    section.findings.error(
      section.line, "\(section.title) needs \"map\": a name (\(table.maps.joined(separator: ", "))), or lines of your own")
    return nil
  }

  private static func readSubscriptions(_ section: Section, _ preset: String?) -> [Located<FeedSubscription>] {
    let findings = section.findings
    let symbols = section.texts("symbols") ?? []
    let intervals = section.texts("intervals") ?? []
    let streams = section.texts("streams") ?? []
    var found: [Located<FeedSubscription>] = []
    func add(_ template: FeedStreams.Template, _ names: [String: String], line: Int) {
      var wanted = [("", "")]
      if template.key.contains("{symbol") { wanted = symbols.map { ($0.value, "") } }
      if template.key.contains("{interval}") {
        wanted = wanted.flatMap { pair in intervals.map { (pair.0, names[$0.value] ?? $0.value) } }
      }
      if wanted.isEmpty {
        let missing = symbols.isEmpty && template.key.contains("{symbol") ? "symbols" : "intervals"
        findings.error(line, "\"\(template.key)\" of \(section.title) needs \"\(missing)\"")
      }
      for (symbol, interval) in wanted {
        let message = template.message.map { fill($0, symbol, interval) }
        let subscription = FeedSubscription(
          key: fill(template.key, symbol, interval), message: message,
          unsubscribe: message?.replacing("\"op\":\"subscribe\"", with: "\"op\":\"unsubscribe\""))
        if !found.contains(where: { $0.value == subscription }) { found.append(Located(value: subscription, line: line)) }
      }
    }
    let known = preset.flatMap { FeedStreams.known[$0] }
    for stream in streams {
      if let known, let template = known.streams[stream.value] {
        add(template, known.intervals, line: stream.line)
      } else if let known {
        let names = known.streams.keys.sorted().joined(separator: ", ")
        findings.error(
          stream.line, "\"streams\" of \(section.title) are of \(names), and not \"\(stream.value)\"; \"subscribe\" takes any key")
      } else {
        findings.error(stream.line, "\"streams\" of \(section.title) are known for some presets only; \"subscribe\" takes any key")
      }
    }
    for key in section.texts("subscribe") ?? [] { add(FeedStreams.Template(key: key.value, message: nil), [:], line: key.line) }
    if found.count > mostKeys { findings.error(section.line, "\(section.title) has more than \(mostKeys) keys") }
    if let line = (symbols.first ?? intervals.first)?.line, streams.isEmpty, found.isEmpty {
      findings.error(line, "\(section.title) has symbols or intervals, but neither \"streams\" nor \"subscribe\" to use them")
    }
    return found
  }

  private static func fill(_ template: String, _ symbol: String, _ interval: String) -> String {
    template.replacing("{symbol_lower}", with: symbol.lowercased()).replacing("{symbol}", with: symbol)
      .replacing("{interval}", with: interval)
  }
}
