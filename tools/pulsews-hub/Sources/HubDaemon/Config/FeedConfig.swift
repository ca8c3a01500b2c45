// SPDX-License-Identifier: Apache-2.0

/// A subscription of a feed's client.
struct FeedSubscription: Hashable, Sendable {
  let key: String
  var message: String?
  var unsubscribe: String?
}

/// A feed: a client of the library, and the map by which its messages become those of topics.
struct FeedConfig: Equatable, Sendable {
  let name: String
  let url: Located<String>
  let options: [OptionSetting]
  /// The name of a map that the library knows, or the text of one.
  let map: Located<String>
  /// Subscribed as long as the feed is there.
  let subscriptions: [Located<FeedSubscription>]
  /// Subscribed for topics that have peers; nil: nothing is.
  let follow: FollowRules?
  var standby: StandbyConfig?
  /// nil: no candles by REST.
  var history: HistoryConfig?

  /// The same connection: a change of subscriptions alone needs no other.
  func isSameConnection(_ other: FeedConfig) -> Bool {
    url == other.url && options == other.options && map == other.map && standby?.primary == other.standby?.primary
      && standby?.primaryName == other.standby?.primaryName
  }

  /// What it is called in `topic_state` and in the log.
  var clientName: String { options.last { $0.name == "name" }?.value ?? name }
}

extension FeedConfig {
  private static let own = ["url", "map", "standby_for", "after", "stable"] + FeedSubscriptions.keys + HistoryConfig.keys

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
    let lines = map.map { $0.value.contains("=") ? $0.value : table.lines(ofMap: $0.value) }
    let subscriptions = FeedSubscriptions(section, options, map: lines)
    options += subscriptions.options
    let standby = StandbyConfig.read(section)
    let history = HistoryConfig.read(section, preset: preset, map: map?.value, feedURL: urls.first?.value, options: options)
    guard let url = urls.first else {
      if section.node("url") == nil { findings.error(node.line, "\(section.title) needs \"url\"") }
      return nil
    }
    guard let map else { return nil }
    return FeedConfig(
      name: name, url: url, options: options, map: map, subscriptions: subscriptions.always, follow: subscriptions.follow, standby: standby,
      history: history)
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
}
