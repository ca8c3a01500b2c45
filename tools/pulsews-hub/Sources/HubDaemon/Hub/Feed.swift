// SPDX-License-Identifier: Apache-2.0
import CDaemonSystem
import CPulseWS

/// Options of a client.
final class ClientOptions {
  let handle = pulsews_config_create()

  deinit { pulsews_config_free(handle) }

  func set(_ setting: OptionSetting) throws(LibraryFailure) {
    try library { pulsews_config_set(handle, setting.name, setting.value, $0, $1) }
  }
}

/// A feed that is set up: a client whose messages go to the hub's topics.
final class Feed: @unchecked Sendable {  // one thread at a time, that of the configuration; the library takes calls of any
  private(set) var config: FeedConfig
  private let client: OpaquePointer

  /// Does not connect yet. `isTrial`: never will, and leaves no trace on the disk.
  init(_ config: FeedConfig, _ loop: LibraryLoop, _ hub: LibraryHub, isTrial: Bool = false) throws(Problem) {
    self.config = config
    let options = ClientOptions()
    for setting in config.options where !(isTrial && setting.name.hasPrefix("journal")) {
      try Feed.at(setting.line) { () throws(LibraryFailure) in try options.set(setting) }
    }
    var made: OpaquePointer?
    try Feed.at(config.url.line) { () throws(LibraryFailure) in
      try library { pulsews_client_create(config.url.value, options.handle, loop.handle, &made, $0, $1) }
    }
    guard let made else { throw Problem(line: config.url.line, sentence: "the library gave no client") }
    client = made
    try Feed.at(config.map.line) { () throws(LibraryFailure) in
      try library { pulsews_hub_feed(hub.handle, made, config.map.value, $0, $1) }
    }
    for subscription in config.subscriptions { try subscribe(subscription) }
  }

  /// Cuts the connection.
  deinit { pulsews_client_free(client) }

  private static func at(_ line: Int, _ body: () throws(LibraryFailure) -> Void) throws(Problem) {
    do throws(LibraryFailure) { try body() } catch { throw Problem(line: line, sentence: error.sentence) }
  }

  private func subscribe(_ subscription: Located<FeedSubscription>) throws(Problem) {
    let wanted = subscription.value
    try Feed.at(subscription.line) { () throws(LibraryFailure) in
      try library { pulsews_subscribe(client, wanted.key, wanted.message, wanted.unsubscribe, $0, $1) }
    }
  }

  func start() { pulsews_start(client) }

  private static let patience: Int64 = 1_000_000_000

  /// Lets the servers know; they have a second for their answers, all together.
  static func close(_ feeds: [Feed]) {
    for feed in feeds { pulsews_close(feed.client, 1000, nil, 0) }
    let deadline = daemon_monotonic_ns() + patience
    for feed in feeds { pulsews_close(feed.client, 1000, nil, max(0, deadline - daemon_monotonic_ns())) }
  }

  /// The same connection with other subscriptions; they have been tried on another client.
  func take(_ next: FeedConfig) throws(Problem) {
    let before = Set(config.subscriptions.map(\.value))
    let after = Set(next.subscriptions.map(\.value))
    let keys = Set(after.map(\.key))
    for gone in before where !keys.contains(gone.key) { pulsews_unsubscribe(client, gone.key) }
    for subscription in next.subscriptions where !before.contains(subscription.value) { try subscribe(subscription) }
    config = next
  }
}
