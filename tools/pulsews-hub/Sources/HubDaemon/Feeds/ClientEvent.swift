// SPDX-License-Identifier: Apache-2.0

/// What a feed's client tells of its connection, as far as it matters here.
enum ClientEvent: Equatable {
  struct Change: Equatable {
    let state: String
    let previous: String
    /// A sentence; why the connection or the attempt ended.
    let cause: String
    /// Seconds until the next attempt, as the library writes them; empty if none is waited for.
    let nextDelay: String
    let endpoint: String
  }

  case state(Change)
  /// Logged in and subscribed.
  case ready
  case stale(silence: String)
  case fresh
  /// The connection is another one by now, and was never away.
  case movedTo(endpoint: String, cause: String)
  case rejected(key: String)
  case other

  /// Data of the connection come behind it.
  var beginsData: Bool {
    switch self {
    case .state(let change): change.state == "connected"
    case .fresh: true
    default: false
    }
  }

  init(_ json: [UInt8]) {
    func member(_ name: String) -> String { JSONScanner.text(json, at: [name]) ?? "" }
    switch member("event") {
    case "state":
      let delay = member("next_delay")
      self = .state(
        Change(
          state: member("state"), previous: member("previous"), cause: member("cause"), nextDelay: delay == "0" ? "" : delay,
          endpoint: member("endpoint")))
    case "ready": self = .ready
    case "stale": self = .stale(silence: member("silence"))
    case "fresh": self = .fresh
    case "endpoint": self = .movedTo(endpoint: member("endpoint"), cause: member("cause"))
    case "rotation" where member("step") == "done": self = .movedTo(endpoint: member("endpoint"), cause: member("cause"))
    case "subscription_rejected": self = .rejected(key: member("key"))
    default: self = .other
    }
  }
}
