// SPDX-License-Identifier: Apache-2.0
import CDaemonSystem
import Logging
import Synchronization

/// Keeps the candles of feeds complete, on a thread of its own: `CandleSeries` decides, this acts.
final class CandleHistory: FeedListener, @unchecked Sendable {  // what is not in `commands` belongs to the thread, once that runs
  private enum Command {
    case follow([FeedConfig]), connected(String, Int64), lost(String), wanted(String), stop
  }

  private struct Entry {
    let config: HistoryConfig
    let source: HistorySource
    let rules: FollowRules?
    /// When its stream was opened (ns since 1970); nil: it is not open, or silent.
    var openedAt: Int64?
    var series: [CandleTopic: CandleSeries] = [:]
    /// Those of symbols that only peers have named, in the order in which they were wanted.
    var open: [CandleTopic] = []
  }

  private let hub: LibraryHub
  private let log: Logger
  private let requests: HistoryRequests
  private let commands = Mutex<[Command]>([])
  private var entries: [String: Entry] = [:]
  private var isStopped = false

  /// nil: libcurl can't be used.
  init?(_ hub: LibraryHub, _ log: Logger) {
    guard let requests = HistoryRequests() else { return nil }
    self.hub = hub
    self.log = log
    self.requests = requests
  }

  /// Before the hub starts: what REST gives within the time. `signals`: a descriptor that ends it.
  func load(_ config: Config, signals: Int32) {
    var load = HistoryLoad(requests, deadline: daemon_monotonic_ns() + config.historyTimeout)
    load.run(config.feeds, hub, log, signals: signals)
  }

  /// nil, or why there is no thread.
  func run() -> String? {
    startThread("history") { [self] in
      while !isStopped { turn() }
    }
  }

  // MARK: For other threads

  /// These are the feeds that there are.
  func follow(_ feeds: [FeedConfig]) { tell(.follow(feeds)) }
  func connected(_ feed: String, openedAt: Int64) { tell(.connected(feed, openedAt)) }
  func lost(_ feed: String) { tell(.lost(feed)) }
  func wanted(_ topic: String) { tell(.wanted(topic)) }
  /// Nothing is published any more.
  func stop() { tell(.stop) }

  private func tell(_ command: Command) {
    commands.withLock { $0.append(command) }
    requests.wake()
  }

  // MARK: The thread

  private func turn() {
    for command in commands.withLock({ commands in
      defer { commands = [] }
      return commands
    }) { take(command) }
    if isStopped { return }
    lookAtAll(daemon_monotonic_ns())
    let deadline = entries.values.flatMap { $0.series.values.compactMap(\.nextLook) }.min()
    for (job, outcome) in requests.turn(until: deadline) { take(job, outcome) }
  }

  private func take(_ command: Command) {
    let now = daemon_monotonic_ns()
    switch command {
    case .follow(let feeds):
      for name in entries.keys where !feeds.contains(where: { $0.name == name }) { remove(name) }
      for feed in feeds { place(feed, now) }
    case .connected(let name, let time): setOpened(name, time, now)
    case .lost(let name): setOpened(name, nil, now)
    case .wanted(let topic): for name in entries.keys { want(topic, name, now) }
    case .stop:
      isStopped = true
      requests.remove(feed: nil)
      entries = [:]
    }
  }

  private func remove(_ name: String) {
    entries[name] = nil
    requests.remove(feed: name)
  }

  /// What goes on with another configuration keeps what is known of its candles.
  private func place(_ feed: FeedConfig, _ now: Int64) {
    guard let config = feed.history, let source = config.source else { return remove(feed.name) }
    let before = entries[feed.name]
    var entry = Entry(config: config, source: source, rules: feed.follow, openedAt: before?.openedAt)
    let isSame = before?.config.isSame(config) ?? false
    if !isSame { requests.remove(feed: feed.name) }
    let open = (before?.open ?? []).filter { isSame && feed.follow == before?.rules && !config.topics.contains($0) }
    entry.open = open
    for topic in config.topics + open {
      entry.series[topic] = isSame ? before?.series[topic] : nil
      if entry.series[topic] == nil { entry.series[topic] = series(topic, entry, now) }
    }
    entries[feed.name] = entry
  }

  private func series(_ topic: CandleTopic, _ entry: Entry, _ now: Int64) -> CandleSeries {
    var series = CandleSeries(
      length: topic.length, wanted: entry.config.wanted, most: entry.source.most, streamSaysClosed: entry.source.streamSaysClosed)
    if let openedAt = entry.openedAt { series.connected(openedAt: openedAt, offset: view(topic).offset, now: now) }
    return series
  }

  /// Its candles are subscribed now, perhaps again. As many that only peers have named are kept as the feed may subscribe.
  private func want(_ topic: String, _ name: String, _ now: Int64) {
    guard var entry = entries[name] else { return }
    defer { entries[name] = entry }
    if let known = entry.series.keys.first(where: { $0.name == topic }) {
      entry.series[known]?.wake(now)
      if let place = entry.open.firstIndex(of: known) { entry.open.append(entry.open.remove(at: place)) }
      return
    }
    guard let rules = entry.rules, let symbol = rules.wishes(topic).compactMap(\.openSymbol).first,
      let made = entry.config.topic(topic, of: symbol)
    else { return }
    if entry.open.count >= rules.mostSymbols * entry.config.intervals.count { entry.series[entry.open.removeFirst()] = nil }
    entry.open.append(made)
    entry.series[made] = series(made, entry, now)
  }

  private func setOpened(_ name: String, _ time: Int64?, _ now: Int64) {
    guard let topics = entries[name]?.series.keys else { return }
    entries[name]?.openedAt = time
    for topic in topics {
      if let time {
        entries[name]?.series[topic]?.connected(openedAt: time, offset: view(topic).offset, now: now)
      } else {
        entries[name]?.series[topic]?.lost()
      }
    }
  }

  private func view(_ topic: CandleTopic) -> CandleView { hub.snapshot(topic.name).map { CandleView(snapshot: $0) } ?? CandleView() }

  private func lookAtAll(_ now: Int64) {
    for (name, entry) in entries {
      for (topic, series) in entry.series where series.nextLook.map({ $0 <= now }) ?? false {
        act(name, topic) { series, view in series.look(view, now: now) }
      }
    }
  }

  private func take(_ job: HistoryJob, _ outcome: HistoryOutcome) {
    let now = daemon_monotonic_ns()
    let random = Double.random(in: 0..<1)
    act(job.feed, job.topic) { series, view in
      guard case .range(let window) = job.window else { return [] }
      return switch outcome {
      case .rows(let rows): series.answer(rows, window, view, now: now, random: random)
      case .failed(let why, let pause): series.failed(why, view, now: now, random: random, pause: pause)
      }
    }
  }

  /// Lets the series decide, and does it.
  private func act(_ name: String, _ topic: CandleTopic, _ decide: (inout CandleSeries, CandleView) -> [CandleSeries.Step]) {
    guard let entry = entries[name], var series = entry.series[topic] else { return }
    let view = view(topic)
    var steps = decide(&series, view)
    let received = daemon_realtime_ns()
    let place: Logger.Metadata = ["feed": "\(name)", "topic": "\(topic.name)"]
    while !steps.isEmpty {
      let step = steps.removeFirst()
      var problem: String?
      switch step {
      case .gap(let start): problem = hub.publish(topic.name, topic.gapMessage(start))
      case .candle(let candle): problem = hub.publish(topic.name, topic.message(candle, received: received))
      case .ask(let window):
        requests.add(HistoryJob(feed: name, config: entry.config, source: entry.source, topic: topic, window: .range(window)))
      case .missing(let count, let why):
        log.warning("candles are missing, and are asked for again: \(why)", metadata: place.merging(["count": "\(count)"]) { $1 })
      case .complete: log.info("no candle is missing any more", metadata: place)
      }
      // The hub has no room: what is left, the request included, waits for the next look.
      if let problem {
        steps = series.failed("they can't be published: \(problem)", view, now: daemon_monotonic_ns(), random: Double.random(in: 0..<1))
      }
    }
    entries[name]?.series[topic] = series
  }
}
