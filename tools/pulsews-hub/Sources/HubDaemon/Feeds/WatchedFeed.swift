// SPDX-License-Identifier: Apache-2.0

/// A feed with all that is known of it.
struct WatchedFeed {
  private(set) var config: FeedConfig
  let feed: Feed
  var story: FeedStory
  var demand: Demand?
  var standby: Standby?
  /// Peers know that it stands in for another.
  var isAnnounced = false

  init(_ config: FeedConfig, _ feed: Feed, topics: Set<String>, now: Int64) {
    self.config = config
    self.feed = feed
    story = FeedStory(name: config.clientName, endpoints: feed.endpoints)
    standby = config.standby.map { Standby($0) }
    demand = config.follow.map { Demand($0, isPinned: !config.subscriptions.isEmpty, topics: topics, now: now) }
  }

  /// Another configuration of the same connection; what peers have to know.
  mutating func take(_ next: FeedConfig, topics: Set<String>, now: Int64) -> [Demand.Step] {
    let isPinned = !next.subscriptions.isEmpty
    var steps: [Demand.Step] = []
    if let rules = next.follow {
      if demand == nil { demand = Demand(rules, isPinned: isPinned, topics: topics, present: feed.subscriptions, now: now) }
      steps = demand?.take(rules, isPinned: isPinned, topics: topics, now: now) ?? []
    } else {
      demand = nil
    }
    config = next
    standby = next.standby.map { times in standby?.with(times) ?? Standby(times) }
    return steps.filter { if case .withhold = $0 { true } else { false } }
  }

  /// All that is to be subscribed.
  var wanted: [FeedSubscription] {
    let fixed = config.subscriptions.map(\.value)
    let keys = Set(fixed.map(\.key))
    return fixed + (demand?.subscriptions.filter { !keys.contains($0.key) } ?? [])
  }

  /// Whether it has to be connected.
  var isNeeded: Bool { demand?.isResting != true && standby?.isServing != false }

  var deadline: Int64? { [demand?.deadline, standby?.deadline].compactMap { $0 }.min() }

  /// For one that stands by for it.
  var state: Standby.Primary {
    let isResting = demand?.isResting == true
    return Standby.Primary(
      isUp: story.isUp || isResting, isResting: isResting, outages: story.outages, wasMute: story.wasMute, messages: feed.messages)
  }

  /// For people, in `topic_state`.
  func cause(_ reason: Demand.Reason) -> String {
    switch reason {
    case .unwanted: "nobody was subscribed, so that \(story.name) was not asked for it"
    case .full: "\(story.name) has as many symbols as it may have"
    case .refused: "\(story.name) has refused the subscription"
    }
  }
}
