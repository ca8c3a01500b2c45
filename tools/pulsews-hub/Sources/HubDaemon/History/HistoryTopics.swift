// SPDX-License-Identifier: Apache-2.0

/// The options of topics whose candles come by REST, too: who subscribes gets the latest message of each candle.
enum HistoryTopics {
  /// How many keys the table needs for so many candles. When it is full the half stays that was published last: at most as many
  /// as are wanted have come late, so that none of them is among the other half, and never has to come twice.
  static func keys(for wanted: Int) -> Int { 4 * (wanted + 16) }

  /// Patterns that say so, with what the configuration says of these topics behind it, and counting. Of a pattern that has more
  /// than candles only those are taken.
  static func groups(_ config: Config) -> [OptionGroup] {
    guard let most = config.feeds.compactMap({ $0.history?.wanted }).max() else { return [] }
    let defaults = [("latest", "true"), ("max_keys", "\(keys(for: most))")]
    let named = config.topics.map(\.name.value)
    var groups: [OptionGroup] = []
    for topic in config.topics {
      guard let pattern = TopicName.intersection(topic.name.value, HistoryConfig.pattern),
        !groups.contains(where: { $0.name.value == pattern })
      else { continue }
      let best = TopicName.best(named, for: pattern).flatMap { name in config.topics.first { $0.name.value == name } }
      let own = named.contains(pattern) ? [] : best?.options ?? []
      let line = topic.name.line
      groups.append(
        OptionGroup(
          name: Located(value: pattern, line: line), options: defaults.map { OptionSetting(name: $0.0, value: $0.1, line: line) } + own))
    }
    return groups
  }

  /// Whether somebody may see the candles.
  static func check(_ config: Config, _ findings: Findings) {
    let named = config.topics.map(\.name.value)
    for feed in config.feeds {
      guard let history = feed.history else { continue }
      for topic in history.topics {
        guard let best = TopicName.best(named, for: topic.name), let group = config.topics.first(where: { $0.name.value == best }) else {
          findings.error(history.line, "\"history\" of [feed.\(feed.name)] is of topics such as \(topic.name), and no [topic] names them")
          break
        }
        let place = "of [feed.\(feed.name)] needs"
        if let latest = group.options.last(where: { $0.name == "latest" }), latest.value == "false" {
          findings.error(latest.line, "\"history\" \(place) \"latest\" of [topic.\"\(best)\"]")
        }
        let least = keys(for: history.wanted)
        if let most = group.options.last(where: { $0.name == "max_keys" }), Int(most.value) ?? least < least {
          findings.error(most.line, "\"history\" \(place) \"max_keys\" of [topic.\"\(best)\"] to be \(least) or more")
        }
      }
    }
  }
}
