// SPDX-License-Identifier: Apache-2.0

/// One call of the library's that sets up a hub.
enum HubCall: Equatable {
  case set(name: String, value: String)
  case listen(String)
  /// `name` nil: only makes the route or the pattern known.
  case route(path: String, name: String?, value: String)
  case topic(pattern: String, name: String?, value: String)
  case key(name: String, algorithm: String, material: String)

  /// What it is about, for people; never a value, which may be a secret.
  var subject: String {
    switch self {
    case .set("events", _): "whether there are [webhook], [portfolio] and \"auth\""
    case .set(let name, _): "\"\(name)\" of [hub]"
    case .listen: "\"listen\" of [hub]"
    case .route(let path, let name, _): "\(name.map { "\"\($0)\" of " } ?? "")[route.\"\(path)\"]"
    case .topic(let pattern, let name, _): "\(name.map { "\"\($0)\" of " } ?? "")[topic.\"\(pattern)\"]"
    case .key(let name, _, _): "[key.\(name)]"
    }
  }
}

/// The calls that make a hub of a configuration, in order, and the feeds that come then.
struct Plan {
  struct Step {
    let call: HubCall
    let line: Int
  }

  private(set) var steps: [Step] = []
  let feeds: [FeedConfig]

  init(_ config: Config) {
    feeds = config.feeds
    for setting in config.hub { add(.set(name: setting.name, value: setting.value), setting.line) }
    for key in config.keys {
      add(.key(name: key.name.value, algorithm: key.algorithm, material: key.material), key.name.line)
    }
    addServices(config)
    for route in config.routes {
      add(.route(path: route.name.value, name: nil, value: ""), route.name.line)
      for setting in route.options { add(.route(path: route.name.value, name: setting.name, value: setting.value), setting.line) }
    }
    for topic in HistoryTopics.groups(config) {
      for setting in topic.options { add(.topic(pattern: topic.name.value, name: setting.name, value: setting.value), setting.line) }
    }
    for topic in config.topics {
      add(.topic(pattern: topic.name.value, name: nil, value: ""), topic.name.line)
      for setting in topic.options { add(.topic(pattern: topic.name.value, name: setting.name, value: setting.value), setting.line) }
    }
    for place in config.listen { add(.listen(place.value), place.line) }
  }

  /// Events, routes and topics of webhooks and of the portfolio. What the configuration itself says of a topic comes behind,
  /// and counts.
  private mutating func addServices(_ config: Config) {
    // Whether a feed follows its subscribers may change while the hub runs.
    for event in ["drained", "topic_wanted", "topic_idle"] { add(.set(name: "events", value: event), 0) }
    if config.webhooks.isEmpty, config.portfolio == nil { return }
    if !config.webhooks.isEmpty { add(.set(name: "events", value: "http_request"), 0) }
    for event in ["message", "closed"] { add(.set(name: "events", value: event), 0) }
    // Without `auth` the hub looks at no token.
    if config.auth != nil { add(.set(name: "events", value: "authenticated"), 0) }
    for webhook in config.webhooks {
      add(.route(path: webhook.value.route, name: "kind", value: "application"), webhook.line)
      for pattern in [webhook.value.topic.pattern, webhook.value.statusTopic] where !isNamed(pattern, config) {
        // A segment that is any stands for one that is some.
        add(.topic(pattern: pattern, name: "history", value: "100"), webhook.line)
        if config.auth != nil { add(.topic(pattern: pattern, name: "subscribe", value: "granted"), webhook.line) }
      }
    }
    guard let portfolio = config.portfolio else { return }
    for kind in PortfolioConfig.Kind.allCases {
      for option in portfolio.options(kind) {
        add(.topic(pattern: portfolio.pattern(kind), name: option.name, value: option.value), portfolio.line)
      }
    }
  }

  /// Whether a pattern of the configuration has the topics of `pattern`.
  private func isNamed(_ pattern: String, _ config: Config) -> Bool {
    config.topics.contains { TopicName.matches($0.name.value, pattern) }
  }

  private mutating func add(_ call: HubCall, _ line: Int) { steps.append(Step(call: call, line: line)) }
}

/// What a new configuration changes of the one that runs.
struct PlanChange: Equatable {
  /// Subjects that a running hub can't change.
  var needsRestart: [String] = []
  var addedFeeds: [FeedConfig] = []
  var removedFeeds: [String] = []
  /// Those that get another client.
  var replacedFeeds: [FeedConfig] = []
  /// Those that keep their client, with other subscriptions.
  var resubscribedFeeds: [FeedConfig] = []

  var isEmpty: Bool {
    needsRestart.isEmpty && addedFeeds.isEmpty && removedFeeds.isEmpty && replacedFeeds.isEmpty && resubscribedFeeds.isEmpty
  }

  init() {}

  init(from old: Plan, to new: Plan) {
    let before = old.steps.map(\.call)
    let after = new.steps.map(\.call)
    if before != after {
      for subject in (before.filter { !after.contains($0) } + after.filter { !before.contains($0) }).map(\.subject)
      where !needsRestart.contains(subject) {
        needsRestart.append(subject)
      }
      // The same calls in another order: of lists, the order counts.
      if needsRestart.isEmpty { needsRestart.append("the order of what is in [hub], [route], [topic] and [key]") }
    }
    for feed in new.feeds {
      guard let present = old.feeds.first(where: { $0.name == feed.name }) else {
        addedFeeds.append(feed)
        continue
      }
      if present == feed { continue }
      if present.isSameConnection(feed) { resubscribedFeeds.append(feed) } else { replacedFeeds.append(feed) }
    }
    removedFeeds = old.feeds.map(\.name).filter { name in !new.feeds.contains { $0.name == name } }
  }
}
