// SPDX-License-Identifier: Apache-2.0
import CDaemonSystem
import Glibc
import Logging

/// The candles that topics have before the hub starts: the last ones of each, without a hole.
struct HistoryLoad {
  private let requests: HistoryRequests
  private let deadline: Int64
  private var found: [CandleTopic: [Candle]] = [:]
  private var problems: [String] = []

  init(_ requests: HistoryRequests, deadline: Int64) {
    self.requests = requests
    self.deadline = deadline
  }

  /// Asks until all is there, the time is over, or `signals` can be read; and gives it to the hub.
  mutating func run(_ feeds: [FeedConfig], _ hub: LibraryHub, _ log: Logger, signals: Int32) {
    var wanted = 0
    for feed in feeds {
      guard let config = feed.history, let source = config.source else { continue }
      for topic in config.topics where found[topic] == nil {
        wanted += 1
        found[topic] = []
        requests.add(
          HistoryJob(feed: feed.name, config: config, source: source, topic: topic, window: .latest(config.wanted + 1)))
      }
    }
    if wanted == 0 { return }
    while !requests.isIdle, daemon_monotonic_ns() < deadline {
      for (job, outcome) in requests.turn(until: deadline, or: signals) { take(job, outcome) }
      if HistoryLoad.isReadable(signals) { break }
    }
    if !requests.isIdle { problems.append("no answer within the time") }
    requests.remove(feed: nil)
    give(hub, log, wanted)
  }

  private static func isReadable(_ descriptor: Int32) -> Bool {
    var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&polled, 1, 0) > 0
  }

  private mutating func take(_ job: HistoryJob, _ outcome: HistoryOutcome) {
    switch outcome {
    case .failed(let why, _): problems.append(why)
    case .rows(var rows):
      if case .range(let window) = job.window { rows.removeAll { !window.contains($0.candle.start) } }
      let present = found[job.topic] ?? []
      let more = CandleSeries.closed(rows, length: job.topic.length, most: job.config.wanted - present.count)
      let all = more.filter { $0.start < present.first?.start ?? .max } + present
      found[job.topic] = all
      guard let window = HistoryLoad.next(all, rows.count, job, gained: all.count - present.count) else { return }
      requests.add(HistoryJob(feed: job.feed, config: job.config, source: job.source, topic: job.topic, window: window))
    }
  }

  /// What is in front of what has come, up to the first of that; nil if that is enough, or the exchange has no more.
  private static func next(_ candles: [Candle], _ count: Int, _ job: HistoryJob, gained: Int) -> HistoryWindow? {
    guard let first = candles.first?.start, gained > 0, candles.count < job.config.wanted, count + 2 >= job.source.most else { return nil }
    let (span, overflows) = job.topic.length.multipliedReportingOverflow(by: Int64(job.source.most - 1))
    return overflows ? nil : .range(max(0, first - span)...first)
  }

  private func give(_ hub: LibraryHub, _ log: Logger, _ wanted: Int) {
    let now = daemon_realtime_ns()
    var loaded = 0
    for (topic, candles) in found {
      loaded += candles.isEmpty ? 0 : 1
      for candle in candles {
        if let why = hub.load(topic.name, topic.message(candle, received: now)) {
          log.error("a candle can't be loaded: \(why)", metadata: ["topic": "\(topic.name)"])
          break
        }
      }
      if !candles.isEmpty { hub.setStale(topic.name, "these are candles of the past: the feed has not begun") }
    }
    log.info("candles were loaded", metadata: ["topics": "\(loaded)", "of": "\(wanted)"])
    if let why = problems.first {
      log.warning("not all candles could be loaded, the rest comes later: \(why)", metadata: ["problems": "\(problems.count)"])
    }
  }
}

extension CandleTopic {
  /// A closed candle was made when it closed.
  func message(_ candle: Candle, received: Int64) -> LibraryHub.Message {
    let (end, overflows) = (candle.start + length).multipliedReportingOverflow(by: 1_000_000)
    return LibraryHub.Message(key: "\(candle.start)", text: json(candle), exchange: overflows ? 0 : end, received: received)
  }

  func gapMessage(_ start: Int64) -> LibraryHub.Message { LibraryHub.Message(key: "\(start)", text: gapJSON(start)) }
}
