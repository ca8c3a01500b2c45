// SPDX-License-Identifier: Apache-2.0
import CDaemonSystem
import CPulseWS
import Glibc
import Logging
import Synchronization

/// Runs the feeds: reads what their clients tell, subscribes what peers want, and lets a standby stand in. One thread for all
/// feeds acts; what is to be done is decided by `Demand`, `FeedStory` and `Standby`.
final class FeedWatch: Sendable {
  struct State {
    var feeds: [WatchedFeed] = []
    /// All topics that have peers.
    var topics: Set<String> = []
    /// What the hub has told since the last turn: topics, in order, and whether they have peers now.
    var changed: [String] = []
    var changes: [String: Bool] = [:]
    var listeners: [any FeedListener] = []
    var isOver = false
  }

  private enum Call {
    case connected(String, openedAt: Int64), lost(String), wanted(String)
  }

  private static let batch = 256

  private let hub: LibraryHub
  private let log: Logger
  private let state = Mutex(State())
  private let wake = daemon_event_descriptor()

  init(_ hub: LibraryHub, _ log: Logger) {
    self.hub = hub
    self.log = log
  }

  func hear(_ listener: any FeedListener) { state.withLock { $0.listeners.append(listener) } }

  // MARK: What others tell; any thread

  func handle(_ event: borrowing HubEvent) {
    let isWanted = event.kind == Int(PULSEWS_HUB_TOPIC_WANTED)
    if !isWanted, event.kind != Int(PULSEWS_HUB_TOPIC_IDLE) { return }
    let topic = event.topic
    state.withLock { state in
      if state.changes.updateValue(isWanted, forKey: topic) == nil { state.changed.append(topic) }
    }
    daemon_event_set(wake)
  }

  var count: Int { state.withLock { $0.feeds.count } }

  /// nil, or why there is no thread.
  func begin() -> String? {
    if wake < 0 { return "no descriptor for feeds: \(systemError())" }
    return startThread("feeds") { [self] in run() }
  }

  /// Starts them, but for those that stand by.
  func add(_ made: [(config: FeedConfig, feed: Feed)]) {
    let now = daemon_monotonic_ns()
    state.withLock { state in
      for (config, feed) in made {
        let watched = WatchedFeed(config, feed, topics: state.topics, now: now)
        become(watched)
        state.feeds.append(watched)
      }
    }
    daemon_event_set(wake)
  }

  /// Gives them to the caller, who ends them.
  func remove(_ names: [String]) -> [Feed] {
    state.withLock { state in
      let gone = state.feeds.filter { names.contains($0.config.name) }
      state.feeds.removeAll { names.contains($0.config.name) }
      for watched in gone where watched.isAnnounced {
        announce(watched.story.name, watched.config.standby?.primaryName ?? "", "the configuration has changed")
      }
      return gone.map(\.feed)
    }
  }

  /// Other subscriptions and times on the same connection; what peers want stays. They have been tried on another client.
  func change(_ config: FeedConfig) {
    let now = daemon_monotonic_ns()
    state.withLock { state in
      guard let index = state.feeds.firstIndex(where: { $0.config.name == config.name }) else { return }
      let steps = state.feeds[index].take(config, topics: state.topics, now: now)
      become(state.feeds[index])
      act(steps, &state.feeds[index], now)
    }
    daemon_event_set(wake)
  }

  /// Subscribes exactly what is wanted.
  private func become(_ watched: WatchedFeed) {
    do throws(LibraryFailure) {
      try watched.feed.become(watched.wanted)
    } catch {
      log.error("a feed does not take its subscriptions: \(error.sentence)", metadata: ["feed": "\(watched.story.name)"])
    }
  }

  /// Ends the thread, and gives all feeds to the caller.
  func end() -> [Feed] {
    defer { daemon_event_set(wake) }
    return state.withLock { state in
      state.isOver = true
      defer { state.feeds = [] }
      return state.feeds.map(\.feed)
    }
  }

  // MARK: The thread

  private func run() {
    while true {
      let now = daemon_monotonic_ns()
      let (calls, listeners, descriptors, deadline, isOver) = state.withLock { state in
        let calls = turn(&state, now)
        let deadline = state.feeds.compactMap(\.deadline).min()
        return (calls, state.listeners, [wake] + state.feeds.map(\.feed.wakeDescriptor), deadline, state.isOver)
      }
      if isOver { return }
      for call in calls {
        for listener in listeners {
          switch call {
          case .connected(let feed, let openedAt): listener.connected(feed, openedAt: openedAt)
          case .lost(let feed): listener.lost(feed)
          case .wanted(let topic): listener.wanted(topic)
          }
        }
      }
      var polled = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      let pause = deadline.map { Int32(clamping: max(0, $0 - daemon_monotonic_ns()) / 1_000_000 + 1) } ?? -1
      if poll(&polled, nfds_t(polled.count), pause) < 0, errno != EINTR {
        return log.error("feeds can't be waited for: \(systemError())")
      }
      daemon_event_clear(wake)
    }
  }

  private func turn(_ state: inout State, _ now: Int64) -> [Call] {
    if state.isOver { return [] }
    var calls: [Call] = []
    for topic in state.changed {
      let isWanted = state.changes[topic] == true
      // Both ways since the last turn: nothing has changed.
      guard isWanted != state.topics.contains(topic) else { continue }
      if isWanted { state.topics.insert(topic) } else { state.topics.remove(topic) }
      if isWanted { calls.append(.wanted(topic)) }
      for index in state.feeds.indices {
        let steps = isWanted ? state.feeds[index].demand?.want(topic, now: now) : nil
        if !isWanted { state.feeds[index].demand?.leave(topic, now: now) }
        act(steps ?? [], &state.feeds[index], now)
      }
    }
    state.changed = []
    state.changes = [:]
    for index in state.feeds.indices {
      let events = state.feeds[index].feed.events(FeedWatch.batch)
      if events.count == FeedWatch.batch { daemon_event_set(wake) }
      for event in events {
        let wasUp = state.feeds[index].story.isUp
        for news in state.feeds[index].story.take(event, now: now) { tell(news, &state.feeds[index], now) }
        let name = state.feeds[index].config.name
        switch (wasUp, state.feeds[index].story.isUp) {
        case (false, true): calls.append(.connected(name, openedAt: state.feeds[index].feed.openedAt))
        case (true, false): calls.append(.lost(name))
        default: break
        }
      }
      act(state.feeds[index].demand?.tick(now: now) ?? [], &state.feeds[index], now)
    }
    standBy(&state, now)
    for index in state.feeds.indices { state.feeds[index].feed.turn(on: state.feeds[index].isNeeded) }
    return calls
  }

  // MARK: Acting

  private func act(_ steps: [Demand.Step], _ watched: inout WatchedFeed, _ now: Int64) {
    let feed = watched.feed
    for step in steps {
      switch step {
      case .subscribe(let subscription):
        do throws(LibraryFailure) {
          try feed.subscribe(subscription)
        } catch {
          log.error("a feed does not take a subscription: \(error.sentence)", metadata: ["feed": "\(watched.story.name)"])
        }
      case .unsubscribe(let key): feed.unsubscribe(key)
      case .withhold(let topic, let reason):
        pulsews_hub_topic_state(hub.handle, topic, Int32(PULSEWS_TOPIC_STALE), watched.cause(reason))
        if reason == .full {
          write(watched.story.line(.warning, "a feed has as many symbols as it may have", [], now))
        }
      case .rest: write(watched.story.line(.info, "a feed rests: nobody is subscribed to its topics", [], now))
      case .rise: break
      }
    }
  }

  private func tell(_ news: FeedStory.News, _ watched: inout WatchedFeed, _ now: Int64) {
    switch news {
    case .log: write([news])
    case .switched(let from, let to, let cause): announce(from, to, cause)
    case .ready: break
    case .rejected(let key):
      watched.feed.forget(key)
      act(watched.demand?.refuse(key, now: now) ?? [], &watched, now)
    }
  }

  private func write(_ news: [FeedStory.News]) {
    for case .log(let level, let sentence, let fields) in news {
      LogSink.shared.write(level, sentence, fields.map { ($0.name, $0.value) })
    }
  }

  /// To all peers. The cause is a sentence of the library's, and may quote the URL.
  private func announce(_ from: String, _ to: String, _ cause: String) {
    let cause = LogSink.shared.clean(FeedStory.withoutURLs(cause))
    let message = "{\"type\":\"feed\",\"data\":{\"from\":\(jsonString(from)),\"to\":\(jsonString(to)),\"cause\":\(jsonString(cause))}}"
    let bytes = Array(message.utf8)
    let code = pulsews_hub_send(hub.handle, 0, UInt32(PULSEWS_TEXT), bytes, bytes.count)
    if code != OK.code { log.error("peers could not be told of a feed: \(text(pulsews_error_text(code)))") }
  }

  private func standBy(_ state: inout State, _ now: Int64) {
    for index in state.feeds.indices {
      guard let config = state.feeds[index].config.standby,
        let primary = state.feeds.first(where: { $0.config.name == config.primary.value })
      else { continue }
      let (own, other) = (state.feeds[index].story.name, primary.story.name)
      let cause = primary.story.cause.isEmpty ? "it has no connection" : primary.story.cause
      switch state.feeds[index].standby?.look(primary.state, now: now) {
      case .standIn:
        write(
          state.feeds[index].story.line(
            .warning, "a feed stands in for another", [.init(name: "for", value: other), .init(name: "cause", value: cause)], now))
      case .giveBack:
        write(state.feeds[index].story.line(.info, "a feed has given back", [.init(name: "to", value: other)], now))
        if state.feeds[index].isAnnounced { announce(own, other, "\(other) is back") }
        state.feeds[index].isAnnounced = false
      case nil: break
      }
      // Told when it is there, and not when it is asked.
      if state.feeds[index].standby?.isServing == true, state.feeds[index].story.isUp, !state.feeds[index].isAnnounced {
        state.feeds[index].isAnnounced = true
        announce(other, own, cause)
      }
    }
  }
}
