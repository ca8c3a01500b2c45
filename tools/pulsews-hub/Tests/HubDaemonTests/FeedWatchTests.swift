// SPDX-License-Identifier: Apache-2.0
import CDaemonSystem
import CPulseWS
import Glibc
import Logging
import Synchronization
import Testing

@testable import HubDaemon

/// What a listener heard; a test waits for it.
private final class Heard: FeedListener {
  private let words = Mutex<[String]>([])
  private let news = daemon_event_descriptor()

  func connected(_ feed: String, openedAt: Int64) {
    let age = daemon_realtime_ns() - openedAt
    add("connected \(feed)\(0..<60_000_000_000 ~= age ? "" : ", \(age) ns ago")")
  }
  func lost(_ feed: String) { add("lost \(feed)") }
  func wanted(_ topic: String) { add("wanted \(topic)") }

  private func add(_ word: String) {
    words.withLock { $0.append(word) }
    daemon_event_set(news)
  }

  /// All words, once there are `count`; those that came within 10 s.
  func take(_ count: Int) -> [String] {
    let deadline = daemon_monotonic_ns() + 10_000_000_000
    while words.withLock({ $0.count }) < count, daemon_monotonic_ns() < deadline {
      var polled = pollfd(fd: news, events: Int16(POLLIN), revents: 0)
      poll(&polled, 1, 1000)
      daemon_event_clear(news)
    }
    return words.withLock { $0 }
  }
}

@Suite struct FeedWatchTests {
  /// A hub whose feed has another hub for an exchange.
  @Test func listenersHearOfFeedsAndTopics() throws {
    let loop = try LibraryLoop()
    let exchange = try LibraryHub(loop)
    for call: HubCall in [.route(path: "/", name: nil, value: ""), .listen("127.0.0.1:0")] { try exchange.make(call) }
    try exchange.start()
    let reading = Reading(
      """
      [hub]
      listen = "127.0.0.1:0"
      [topic."price.*"]
      [feed.one]
      url = "ws://\(try #require(exchange.addresses.first))/"
      map = "kraken"
      name = "other"
      """)
    #expect(reading.errors == [])
    let hub = try LibraryHub(loop)
    for step in Plan(reading.config).steps { try hub.make(step.call) }
    try hub.start()
    let (watch, heard, pump) = (FeedWatch(hub, Logger(label: "test")), Heard(), EventPump(watchdog: nil))
    watch.hear(heard)
    let config = try #require(reading.config.feeds.first)
    watch.add([(config, try Feed(config, loop, hub))])
    #expect(watch.begin() == nil && pump.begin(hub, { watch.handle($0) }) == nil)
    #expect(heard.take(1) == ["connected one"])
    let url = "ws://\(try #require(hub.addresses.first))/ws/stream"
    let peers = [try Peer(url, loop), try Peer(url, loop)]
    try peers[0].subscribe("price.SOL")
    #expect(heard.take(2).last == "wanted price.SOL")
    // A second peer of a topic is none of their business.
    try peers[1].subscribe("price.SOL")
    try peers[1].subscribe("price.BTC")
    #expect(heard.take(3) == ["connected one", "wanted price.SOL", "wanted price.BTC"])
    exchange.beginDrain()
    #expect(heard.take(4).last == "lost one")
    withExtendedLifetime(peers) { Feed.close(watch.end()) }
    #expect(watch.count == 0)
  }
}

private final class Peer {
  private let client: OpaquePointer

  init(_ url: String, _ loop: LibraryLoop) throws {
    let options = ClientOptions()
    try options.set(OptionSetting(name: "resume", value: "true", line: 0))
    var made: OpaquePointer?
    try library { pulsews_client_create(url, options.handle, loop.handle, &made, $0, $1) }
    client = try #require(made)
    pulsews_start(client)
  }

  deinit { pulsews_client_free(client) }

  func subscribe(_ topic: String) throws { try library { pulsews_subscribe(client, topic, nil, nil, $0, $1) } }
}
