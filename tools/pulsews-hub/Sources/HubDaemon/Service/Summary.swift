// SPDX-License-Identifier: Apache-2.0

/// What a configuration would do, in lines for people.
enum Summary {
  static func lines(_ config: Config) -> [String] {
    var lines = config.listen.map { "listens at \($0.value)" }
    for route in config.routes {
      let kind = route.options.last { $0.name == "kind" }?.value ?? "stream"
      let folder = route.options.last { $0.name == "folder" }.map { " of \($0.value)" } ?? ""
      lines.append("route \(route.name.value): \(kind)\(folder)")
    }
    for topic in config.topics {
      let options = topic.options.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
      lines.append("topics \(topic.name.value)\(options.isEmpty ? "" : ": \(options)")")
    }
    for key in config.keys { lines.append("tokens of key \(key.name.value) (\(key.algorithm))") }
    for webhook in config.webhooks.map(\.value) {
      let secret = webhook.secret == nil ? "no secret" : webhook.secretPlace == .path ? "secret in the path" : "secret in the body"
      lines.append(
        "webhook \(webhook.path): \(secret), \(webhook.allow.isEmpty ? "any address" : "listed addresses"), to \(webhook.topic.text)")
    }
    if let audit = config.audit { lines.append("signals are written to \(audit.file)") }
    if let portfolio = config.portfolio {
      lines += PortfolioConfig.Kind.allCases.map { "portfolio: \($0.type) to \(portfolio.pattern($0))" }
    }
    lines += config.feeds.map(line)
    return lines
  }

  private static func line(_ feed: FeedConfig) -> String {
    let map = feed.map.value.contains("=") ? "a map of its own" : "map \(feed.map.value)"
    let endpoints = feed.options.filter { $0.name == "endpoints" }.count
    let more = endpoints == 0 ? "" : ", \(endpoints) more endpoint\(endpoints == 1 ? "" : "s")"
    var line = "feed \(feed.name): \(place(feed.url.value))\(more), \(map), \(feed.subscriptions.count) subscriptions"
    if let follow = feed.follow {
      let symbols = follow.open.isEmpty ? "" : " and up to \(follow.mostSymbols) symbols that peers name"
      line += ", and as peers come and go up to \(follow.fixedCount)\(symbols), each kept \(seconds(follow.linger)) without a peer"
    }
    if let standby = feed.standby {
      line += ", stands in for \(standby.primary.value) after \(seconds(standby.after)), until that is back for \(seconds(standby.stable))"
    }
    if let history = feed.history {
      let open = feed.follow?.open.isEmpty == false ? " and of what peers name" : ""
      line += ", \(history.wanted) candles of \(history.topics.count) topics\(open) from \(place(history.url))"
    }
    return line
  }

  private static func seconds(_ ns: Int64) -> String {
    let milliseconds = ns / 1_000_000
    if milliseconds % 1000 == 0 { return "\(milliseconds / 1000) s" }
    return milliseconds > 0 ? "\(milliseconds) ms" : "\(ns) ns"
  }

  /// A URL without what may be secret: user and query.
  static func place(_ url: String) -> String {
    let withoutQuery = url.prefix { $0 != "?" && $0 != "#" }
    guard let scheme = withoutQuery.firstIndex(of: ":") else { return String(withoutQuery) }
    let rest = withoutQuery[scheme...].drop { $0 == ":" || $0 == "/" }
    let authority = rest.prefix { $0 != "/" }
    guard let at = authority.lastIndex(of: "@") else { return String(withoutQuery) }
    return withoutQuery[..<scheme] + "://" + rest[rest.index(after: at)...]
  }
}
