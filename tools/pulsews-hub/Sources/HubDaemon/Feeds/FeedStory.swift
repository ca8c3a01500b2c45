// SPDX-License-Identifier: Apache-2.0

/// How a feed is doing, by the events of its client, and what is to be told of that. Without sockets and without a clock.
struct FeedStory {
  enum News: Equatable {
    case log(LogLevel, String, [Field])
    /// For all peers.
    case switched(from: String, to: String, cause: String)
    /// Connected and subscribed.
    case ready
    case rejected(key: String)
  }

  struct Field: Equatable {
    let name: String
    let value: String
  }

  let name: String
  /// The endpoints, as the events name them.
  private let endpoints: [String]
  private var endpoint: String?
  private var wasTold = false
  /// Why the connection was lost, or there is none.
  private(set) var cause = ""
  private(set) var isUp = false
  private(set) var outages = 0
  private(set) var wasMute = false
  private var budget = LineBudget()

  init(name: String, endpoints: [String]) {
    self.name = name
    self.endpoints = endpoints
  }

  /// The name for people: with a number, where there are several endpoints. Never a URL, which may have a key in it.
  private func title(_ endpoint: String) -> String {
    guard endpoints.count > 1, let index = endpoints.firstIndex(of: endpoint) else { return name }
    return "\(name)-\(index + 1)"
  }

  /// A sentence of the library's, which may begin with a URL.
  static func withoutURLs(_ sentence: String) -> String {
    sentence.split(separator: " ").filter { !$0.contains("://") }.joined(separator: " ")
  }

  mutating func take(_ event: ClientEvent, now: Int64) -> [News] {
    switch event {
    case .state(let change): return take(change, now)
    case .ready:
      isUp = true
      return [.ready]
    case .stale(let silence):
      goDown(isMute: true)
      cause = "no data for \(silence) s"
      return line(.warning, "a feed is silent", [Field(name: "cause", value: cause)], now)
    case .fresh:
      isUp = true
      wasMute = false
      return line(.info, "a feed is live again", [], now)
    case .movedTo(let endpoint, let cause): return move(to: endpoint, cause, now)
    case .rejected(let key): return [.rejected(key: key)]
    case .other: return []
    }
  }

  private mutating func goDown(isMute: Bool) {
    if isUp || isMute { outages += 1 }
    if isUp || isMute { wasMute = isMute }
    isUp = false
  }

  private mutating func take(_ change: ClientEvent.Change, _ now: Int64) -> [News] {
    if change.state == "connected" {
      let news = move(to: change.endpoint, cause, now)
      wasTold = false
      return news + line(.info, "a feed is connected", [Field(name: "endpoint", value: title(change.endpoint))], now)
    }
    let wasConnected = change.previous == "connected"
    goDown(isMute: false)
    if change.state == "disconnected" {
      // It was told to.
      wasTold = true
      return []
    }
    if change.state == "connecting" { wasTold = false }
    if change.cause.isEmpty || change.state == "connecting" { return [] }
    cause = change.cause
    var fields = [Field(name: "cause", value: cause)]
    if change.state == "error" { return line(.error, "a feed has given up", fields, now) }
    // Once, and not for each attempt that comes to nothing.
    if wasTold { return [] }
    wasTold = true
    if !change.nextDelay.isEmpty { fields.append(Field(name: "next_attempt", value: "in \(change.nextDelay) s")) }
    return line(.warning, wasConnected ? "a feed is lost" : "a feed can't be connected", fields, now)
  }

  private mutating func move(to next: String, _ cause: String, _ now: Int64) -> [News] {
    defer { endpoint = next }
    guard let endpoint, title(endpoint) != title(next) else { return [] }
    let (from, to) = (title(endpoint), title(next))
    let fields = [Field(name: "from", value: from), Field(name: "to", value: to), Field(name: "cause", value: cause)]
    return [.switched(from: from, to: to, cause: cause)] + line(.warning, "a feed has changed over", fields, now)
  }

  /// A line of the log, unless there were many.
  mutating func line(_ level: LogLevel, _ sentence: String, _ fields: [Field], _ now: Int64) -> [News] {
    guard let left = budget.take(now) else { return [] }
    let more = left == 0 ? [] : [Field(name: "lines_left_out", value: "\(left)")]
    return [.log(level, sentence, [Field(name: "feed", value: name)] + fields + more)]
  }
}

/// Keeps what changes all the time from filling a log: so many lines a minute.
struct LineBudget: Equatable {
  private static let most = 12
  private static let window: Int64 = 60_000_000_000
  private var begin: Int64?
  private var count = 0
  private var left = 0

  /// nil: not now. Else how many were left out since the last one.
  mutating func take(_ now: Int64) -> Int? {
    if begin.map({ now - $0 >= LineBudget.window }) ?? true {
      begin = now
      count = 0
    }
    if count >= LineBudget.most {
      left += 1
      return nil
    }
    count += 1
    defer { left = 0 }
    return left
  }
}
