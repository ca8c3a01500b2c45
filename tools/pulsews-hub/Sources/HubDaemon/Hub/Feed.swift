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
final class Feed: @unchecked Sendable {  // one thread at a time, under the lock of `FeedWatch`; the library takes calls of any
  private let client: OpaquePointer
  private var subscribed: [String: FeedSubscription] = [:]
  private var isOn = false
  /// When its connection was opened, or spoke again after a silence (ns since 1970).
  private(set) var openedAt: Int64 = 0

  /// Does not connect yet. `isTrial`: never will, and leaves no trace on the disk.
  init(_ config: FeedConfig, _ loop: LibraryLoop, _ hub: LibraryHub, isTrial: Bool = false) throws(Problem) {
    let options = ClientOptions()
    for setting in config.options where !(isTrial && setting.name.hasPrefix("journal")) {
      try Feed.at(setting.line) { () throws(LibraryFailure) in try options.set(setting) }
    }
    try Feed.at(config.url.line) { () throws(LibraryFailure) in
      try options.set(OptionSetting(name: "events", value: "true", line: config.url.line))
    }
    var made: OpaquePointer?
    try Feed.at(config.url.line) { () throws(LibraryFailure) in
      try library { pulsews_client_create(config.url.value, options.handle, loop.handle, &made, $0, $1) }
    }
    guard let made else { throw Problem(line: config.url.line, sentence: "the library gave no client") }
    client = made
    let map = Feed.map(config)
    try Feed.at(config.map.line) { () throws(LibraryFailure) in
      try library { pulsews_hub_feed(hub.handle, made, map, $0, $1) }
    }
    for subscription in config.subscriptions { try subscribe(subscription) }
    // Those that follow peers are tried, too, so that none is refused when its time comes.
    if isTrial, let follow = config.follow {
      for wanted in follow.fixed.values.joined() { try subscribe(Located(value: wanted, line: config.url.line)) }
    }
  }

  /// Cuts the connection.
  deinit { pulsews_client_free(client) }

  /// A standby says whose place it takes.
  private static func map(_ config: FeedConfig) -> String {
    guard let standby = config.standby else { return config.map.value }
    let isOwn = config.map.value.contains("=")
    return "instead=\(standby.primaryName)\n" + (isOwn ? config.map.value : OptionTable.library.lines(ofMap: config.map.value))
  }

  private static func at(_ line: Int, _ body: () throws(LibraryFailure) -> Void) throws(Problem) {
    do throws(LibraryFailure) { try body() } catch { throw Problem(line: line, sentence: error.sentence) }
  }

  private func subscribe(_ subscription: Located<FeedSubscription>) throws(Problem) {
    try Feed.at(subscription.line) { () throws(LibraryFailure) in try subscribe(subscription.value) }
  }

  // MARK: Subscriptions

  func subscribe(_ wanted: FeedSubscription) throws(LibraryFailure) {
    try library { pulsews_subscribe(client, wanted.key, wanted.message, wanted.unsubscribe, $0, $1) }
    subscribed[wanted.key] = wanted
  }

  func unsubscribe(_ key: String) {
    pulsews_unsubscribe(client, key)
    subscribed[key] = nil
  }

  /// The exchange has rejected it, and the library has dropped it.
  func forget(_ key: String) { subscribed[key] = nil }

  /// What is subscribed, and whether it was rejected.
  var subscriptions: [FeedSubscription] { Array(subscribed.values) }

  /// Exactly these, on the same connection.
  func become(_ wanted: [FeedSubscription]) throws(LibraryFailure) {
    let keys = Set(wanted.map(\.key))
    for key in subscribed.keys.sorted() where !keys.contains(key) { unsubscribe(key) }
    for subscription in wanted where subscribed[subscription.key] != subscription { try subscribe(subscription) }
  }

  // MARK: The connection

  /// Connects, or closes the connection for as long as it is not needed.
  func turn(on wanted: Bool) {
    if wanted == isOn { return }
    isOn = wanted
    if wanted { pulsews_reconnect(client) } else { pulsews_disconnect(client, 0) }
  }

  private static let patience: Int64 = 1_000_000_000

  /// Lets the servers know; they have a second for their answers, all together.
  static func close(_ feeds: [Feed]) {
    for feed in feeds { pulsews_close(feed.client, 1000, nil, 0) }
    let deadline = daemon_monotonic_ns() + patience
    for feed in feeds { pulsews_close(feed.client, 1000, nil, max(0, deadline - daemon_monotonic_ns())) }
  }

  // MARK: What it tells

  /// Readable when there is something to be told; -1 if the system gives no descriptor.
  var wakeDescriptor: Int32 { pulsews_wake_fd(client) }

  /// Up to so many events that have come; fewer: there were no more.
  func events(_ most: Int) -> [ClientEvent] {
    pulsews_wake_clear(client)
    var events: [ClientEvent] = []
    var message = pulsews_message()
    while events.count < most, pulsews_recv(client, &message, 0) == OK.code {
      let event = ClientEvent(Array(UnsafeRawBufferPointer(start: message.data, count: message.length)))
      if event.beginsData { openedAt = message.received_ns }
      events.append(event)
    }
    return events
  }

  private static let messagesIndex: Int? = {
    var index = 0
    var name: UnsafePointer<CChar>?
    while pulsews_statistic_at(index, &name, nil, nil, nil) == OK.code {
      if text(name) == "messages_received" { return index }
      index += 1
    }
    return nil
  }()

  /// How many messages it has received.
  var messages: UInt64 {
    guard let index = Feed.messagesIndex else { return 0 }
    var values = [Double](repeating: 0, count: index + 1)
    pulsews_statistics(client, &values, values.count)
    return UInt64(exactly: values[index]) ?? 0
  }

  /// The endpoints as events name them, the preferred one first.
  var endpoints: [String] {
    guard let status = libraryText({ pulsews_status_json(client, $0, $1) }) else { return [] }
    return JSONScanner.elements(Array(status.utf8), at: ["endpoints"]).compactMap { JSONScanner.text($0, at: ["url"]) }
  }
}
