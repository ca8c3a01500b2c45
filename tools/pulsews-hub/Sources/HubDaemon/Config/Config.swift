// SPDX-License-Identifier: Apache-2.0

/// A path or pattern with its options.
struct OptionGroup: Equatable {
  let name: Located<String>
  let options: [OptionSetting]
}

/// A key that tokens are verified with.
struct KeyConfig: Equatable {
  let name: Located<String>
  let algorithm: String
  let material: String
}

struct LogConfig: Equatable {
  var level = LogLevel.info
  var isJSON = false
  /// nil: standard error.
  var file: String?
}

/// A whole configuration, decoded; what the library thinks of its values comes later.
struct Config: Equatable {
  var listen: [Located<String>] = []
  var hub: [OptionSetting] = []
  var routes: [OptionGroup] = []
  var topics: [OptionGroup] = []
  var keys: [KeyConfig] = []
  var feeds: [FeedConfig] = []
  var webhooks: [Located<WebhookConfig>] = []
  var audit: AuditConfig?
  var portfolio: PortfolioConfig?
  var log = LogConfig()
  /// How long a drain may take (ns).
  var drainTimeout: Int64 = 20_000_000_000
  /// How long the history of candles may keep the hub from starting (ns).
  var historyTimeout = HistoryConfig.defaultTimeout

  /// What peers have to show; nil: tokens are not looked at.
  var auth: String? { hubOption("auth").flatMap { $0.value == "none" ? nil : $0.value } }

  func hubOption(_ name: String) -> OptionSetting? { hub.last { $0.name == name } }
}

extension Config {
  static let mostDrain: Int64 = 3_600_000_000_000

  /// What the text says; errors go to `findings`, and then the result is not to be used.
  static func read(_ text: String, _ findings: Findings, _ surroundings: Surroundings, _ table: OptionTable) -> Config {
    var config = Config()
    let root: ConfigNode
    do throws(Problem) {
      root = try ConfigNode.read(text)
    } catch {
      findings.error(error.line, error.sentence)
      return config
    }
    let sections = Section("the configuration", root, findings, surroundings)
    let reader = ConfigReader(sections: sections, table: table)
    reader.readHub(&config)
    reader.readKeys(&config)
    reader.readRoutes(&config)
    reader.readTopics(&config)
    reader.readFeeds(&config)
    reader.readWebhooks(&config)
    reader.readPortfolio(&config)
    reader.readLog(&config)
    reader.readDaemon(&config)
    HistoryTopics.check(config, findings)
    sections.finish()
    return config
  }
}

/// Decodes the tables of the configuration, one method for each.
struct ConfigReader {
  let sections: Section
  let table: OptionTable

  var findings: Findings { sections.findings }

  func section(_ key: String) -> Section? {
    sections.node(key).map { Section("[\(key)]", $0, findings, sections.surroundings) }
  }

  func readHub(_ config: inout Config) {
    guard let hub = section("hub") else { return }
    config.listen = hub.texts("listen") ?? []
    config.hub = hub.options(.hub, table, except: ["events"])
    hub.finish()
    if let place = config.listen.first(where: { $0.value.hasPrefix("wss://") }), config.hubOption("certificate") == nil {
      findings.error(place.line, "\"listen\" of [hub] has \(place.value), which needs \"certificate\"")
    }
  }

  func readKeys(_ config: inout Config) {
    guard let keys = section("key") else { return }
    for (name, node) in keys.all() {
      let key = Section("[key.\(name)]", node, findings, sections.surroundings)
      let algorithm = key.text("algorithm")
      let secret = key.secret("secret")
      let inside = key.text("public_key")
      let outside = key.elsewhere("public_key")
      key.finish()
      guard let algorithm else {
        findings.error(node.line, "\(key.title) needs \"algorithm\": HS256, RS256, ES256 or EdDSA")
        continue
      }
      let material = algorithm.value == "HS256" ? secret : inside ?? outside
      let other = algorithm.value == "HS256" ? inside ?? outside : secret
      guard let material, other == nil else {
        findings.error(
          node.line,
          "\(key.title) with \(algorithm.value) needs \(algorithm.value == "HS256" ? "\"secret\"" : "\"public_key\""), and no other key")
        continue
      }
      config.keys.append(
        KeyConfig(name: Located(value: name, line: node.line), algorithm: algorithm.value, material: material.value))
    }
  }

  func readRoutes(_ config: inout Config) {
    if let routes = section("route") {
      for (path, node) in routes.all() {
        let route = Section("[route.\"\(path)\"]", node, findings, sections.surroundings)
        config.routes.append(OptionGroup(name: Located(value: path, line: node.line), options: route.options(.route, table)))
        route.finish()
      }
    }
    guard let folders = section("static") else { return }
    for (path, _) in folders.all() {
      guard let folder = folders.text(path) else { continue }
      let options = [("kind", "static"), ("folder", folder.value)].map { OptionSetting(name: $0.0, value: $0.1, line: folder.line) }
      if config.routes.contains(where: { $0.name.value == path }) {
        findings.error(folder.line, "the path \"\(path)\" is given twice, in [route] and in [static]")
      }
      config.routes.append(OptionGroup(name: Located(value: path, line: folder.line), options: options))
    }
  }

  func readTopics(_ config: inout Config) {
    guard let topics = section("topic") else { return }
    for (pattern, node) in topics.all() {
      let topic = Section("[topic.\"\(pattern)\"]", node, findings, sections.surroundings)
      config.topics.append(OptionGroup(name: Located(value: pattern, line: node.line), options: topic.options(.topic, table)))
      topic.finish()
    }
  }

  func readFeeds(_ config: inout Config) {
    guard let feeds = section("feed") else { return }
    for (name, node) in feeds.all() {
      if let feed = FeedConfig.read(name, node, findings, sections.surroundings, table) { config.feeds.append(feed) }
    }
    StandbyConfig.connect(&config.feeds, findings)
  }

  func readWebhooks(_ config: inout Config) {
    if let webhooks = section("webhook") {
      for (path, node) in webhooks.all() {
        guard let webhook = WebhookConfig.read(path, node, findings, sections.surroundings) else { continue }
        config.webhooks.append(Located(value: webhook, line: node.line))
        if config.routes.contains(where: { $0.name.value == webhook.route }) {
          findings.error(node.line, "the path \"\(webhook.route)\" is given twice, in [route] or [static] and in [webhook]")
        }
      }
    }
    if let audit = section("audit") {
      config.audit = AuditConfig.read(audit)
      if config.webhooks.isEmpty { findings.error(audit.line, "[audit] is for signals, and there is no [webhook]") }
    }
  }

  func readPortfolio(_ config: inout Config) {
    guard let portfolio = section("portfolio") else { return }
    config.portfolio = PortfolioConfig.read(portfolio)
    if config.auth == nil {
      findings.error(
        portfolio.line, "[portfolio] needs \"auth\" of [hub]: optional or required; tokens say who may see and publish an account")
    }
  }

  func readLog(_ config: inout Config) {
    guard let log = section("log") else { return }
    if let level = log.text("level", allowed: LogLevel.allCases.map(\.rawValue)) {
      config.log.level = LogLevel(rawValue: level.value) ?? .info
    }
    config.log.isJSON = log.text("format", allowed: ["text", "json"])?.value == "json"
    config.log.file = log.text("file")?.value
    log.finish()
  }

  func readDaemon(_ config: inout Config) {
    guard let daemon = section("daemon") else { return }
    config.drainTimeout = daemon.time("drain_timeout", "0 to 1h", 0...Config.mostDrain) ?? config.drainTimeout
    config.historyTimeout = daemon.time("history_timeout", "0 to 1m", 0...60_000_000_000) ?? config.historyTimeout
    daemon.finish()
  }
}
