// SPDX-License-Identifier: Apache-2.0
import CDaemonSystem
import CPulseWS
import Glibc
import Synchronization

/// The local exchange of the demo: a hub of the library at a free port of this machine, which speaks as Binance spot does.
/// Streams are its topics, and its peers get plain messages.
final class DemoExchange: Sendable {
  /// How often something happens (ns): with a dozen symbols each moves some 15 times a second.
  private static let step: Int64 = 5_500_000
  /// What a machine that was busy for longer has missed is not made good.
  private static let patience: Int64 = 250_000_000

  private struct State {
    var market: DemoMarket
    /// When the next thing happens (monotonic ns).
    var next: Int64 = 0
    /// The streams of each peer, in the order in which it asked.
    var subscriptions: [UInt64: [String]] = [:]
  }

  let hub: LibraryHub
  /// "127.0.0.1:4567".
  let address: String
  private let state: Mutex<State>
  private let pump = EventPump(watchdog: nil)
  private let beat = Beat()

  init(seed: UInt64) throws(LibraryFailure) {
    hub = try LibraryHub(nil)
    state = Mutex(State(market: DemoMarket(seed: seed, now: daemon_realtime_ns() / 1_000_000)))
    for (name, value) in [("name", "exchange"), ("events", "message"), ("events", "closed"), ("events", "http_request")] {
      try hub.make(.set(name: name, value: value))
    }
    for (name, value) in [("protocol", "plain"), ("welcome", "false"), ("url_topics", "false")] {
      try hub.make(.route(path: "/stream", name: name, value: value))
    }
    try hub.make(.route(path: DemoForms.klinesPath, name: "kind", value: "application"))
    try hub.make(.listen("127.0.0.1:0"))
    try hub.start()
    address = hub.addresses.first ?? ""
  }

  /// nil, or why it can't run. `problem` gets what goes wrong later.
  func begin(_ problem: @escaping @Sendable (String) -> Void) -> String? {
    if let problem = pump.begin(hub, { [self] event in handle(event) }) { return problem }
    return beat.begin("exchange", every: 5) { [self] in
      for event in turn() {
        let bytes = Array(DemoForms.message(event).utf8)
        let code = pulsews_hub_publish(hub.handle, DemoForms.stream(event), nil, bytes, bytes.count, nil)
        if code != OK.code { problem("the demo's exchange can't publish: \(text(pulsews_error_text(code)))") }
      }
    }
  }

  /// What has happened since the last turn.
  private func turn() -> [DemoEvent] {
    state.withLock { state in
      let now = daemon_monotonic_ns()
      state.next = max(state.next, now - DemoExchange.patience)
      var events: [DemoEvent] = []
      while state.next <= now {
        events += state.market.step(at: daemon_realtime_ns() / 1_000_000)
        state.next += DemoExchange.step
      }
      return events
    }
  }

  /// Nothing happens any more, and its clients are let go.
  func end() {
    beat.end()
    pulsews_hub_drain(hub.handle, 0, 1_000_000_000)
  }

  /// The price of a symbol, halfway between bid and ask.
  func price(_ index: Int) -> Int64 { state.withLock { $0.market.price(index) } }

  private func handle(_ event: borrowing HubEvent) {
    switch event.kind {
    case Int(PULSEWS_HUB_MESSAGE): take(event.data, from: event.peer)
    case Int(PULSEWS_HUB_CLOSED):
      let peer = event.peer
      state.withLock { $0.subscriptions[peer] = nil }
    case Int(PULSEWS_HUB_HTTP_REQUEST):
      let (method, target) = (event.method, event.target)
      let market = state.withLock { $0.market }
      let (status, body) = DemoForms.answer(method, target, market)
      let bytes = Array(body.utf8)
      pulsews_hub_answer(hub.handle, event.request, status, "Content-Type: application/json\n", bytes, bytes.count)
    default: break
    }
  }

  private func take(_ data: [UInt8], from peer: UInt64) {
    switch DemoRequest.read(data) {
    case .refused(let answer): send(answer, to: peer)
    case .list(let id):
      let names = state.withLock { $0.subscriptions[peer] ?? [] }
      send("{\"result\":[\(names.map { jsonString($0) }.joined(separator: ","))],\"id\":\(id)}", to: peer)
    case .subscribe(let names, let id):
      state.withLock { state in
        var present = state.subscriptions[peer] ?? []
        for name in names where !present.contains(name) { present.append(name) }
        state.subscriptions[peer] = present
      }
      send("{\"result\":null,\"id\":\(id)}", to: peer)
      for name in names { pulsews_hub_subscribe(hub.handle, peer, name) }
    case .unsubscribe(let names, let id):
      state.withLock { $0.subscriptions[peer]?.removeAll { names.contains($0) } }
      for name in names { pulsews_hub_unsubscribe(hub.handle, peer, name) }
      send("{\"result\":null,\"id\":\(id)}", to: peer)
    }
  }

  /// To one that has gone it is no error.
  private func send(_ text: String, to peer: UInt64) {
    let bytes = Array(text.utf8)
    pulsews_hub_send(hub.handle, peer, UInt32(PULSEWS_TEXT), bytes, bytes.count)
  }
}

/// Does something again and again on a thread of its own.
final class Beat: Sendable {
  private let stop = daemon_event_descriptor()
  private let ended = daemon_event_descriptor()
  private let isRunning = Mutex(false)

  /// nil, or why there is no thread.
  func begin(_ name: String, every milliseconds: Int32, _ body: @escaping @Sendable () -> Void) -> String? {
    if stop < 0 || ended < 0 { return "no descriptor for a thread: \(systemError())" }
    isRunning.withLock { $0 = true }
    return startThread(name) { [stop, ended] in
      while !Beat.wait(stop, milliseconds) { body() }
      daemon_event_set(ended)
    }
  }

  /// Returns when it does nothing any more.
  func end() {
    let wasRunning = isRunning.withLock { running in
      defer { running = false }
      return running
    }
    if !wasRunning { return }
    daemon_event_set(stop)
    while !Beat.wait(ended, -1) {}
  }

  /// Whether the descriptor is readable; waits for it.
  private static func wait(_ descriptor: Int32, _ milliseconds: Int32) -> Bool {
    var polled = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&polled, 1, milliseconds) > 0
  }
}
