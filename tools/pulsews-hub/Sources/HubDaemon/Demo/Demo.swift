// SPDX-License-Identifier: Apache-2.0
import CDaemonSystem
import CPulseWS
import Glibc
import Logging
import Synchronization

/// The demo: a local exchange and somebody who trades on it, beside a hub with a configuration of its own. It needs no file, no
/// network and no other program.
public final class Demo: Sendable {
  /// What an error names where else the file stands.
  private static let name = "--demo"
  private static let traderPause: Int32 = 100

  private let config: DemoConfig
  private let exchange: DemoExchange
  /// Of the hub's port, until the hub listens at it.
  private let held: Held?
  private let beat = Beat()
  private let trader: Mutex<DemoTrader>

  private init(_ config: DemoConfig, _ exchange: DemoExchange, _ held: Held?) {
    (self.config, self.exchange, self.held) = (config, exchange, held)
    trader = Mutex(DemoTrader(seed: .random(in: 0 ... .max), now: daemon_realtime_ns() / 1_000_000))
  }

  // MARK: What the program does

  public enum Action: Sendable {
    case run, check, printConfig
  }

  /// `listen` nil: the usual port, and a free one where that is taken. `page` nil: the folder is looked for.
  public static func act(_ action: Action, listen: String?, page: String?) -> Int32 {
    // Before there is a thread, all of which have the same.
    if daemon_block_signals() != 0 { return Daemon.complain("signals can't be blocked: \(systemError())", ExitCode.failed) }
    let place = listen.map { DemoPlace($0) } ?? DemoPlace.usual
    guard let place else { return Daemon.complain("--listen takes host:port, and not \"\(listen ?? "")\"", ExitCode.badConfig) }
    var config = DemoConfig(place: place, secret: DemoToken.secret(), folder: folder(page))
    if action == .printConfig { return writeAll(1, config.text) ? ExitCode.done : ExitCode.failed }
    let held = listen == nil || place.port == 0 ? Held.take(place, isOther: listen == nil) : nil
    if let held { config.place.port = held.port }
    if config.folder == nil { Daemon.complain(missing(page)) }
    do throws(LibraryFailure) {
      let exchange = try DemoExchange(seed: .random(in: 0 ... .max))
      config.exchange = exchange.address
      let text = config.wholeText
      let source = ConfigSource(name: name) { .success((text, false)) }
      if action == .check { return Daemon.check(source) }
      // Before the hub is made, whose feed asks for the past at once.
      let log = Logger(label: "pulsews-hub") { DaemonLogHandler(label: $0) }
      if let problem = exchange.begin({ log.error("\($0)") }) { return Daemon.complain(problem, ExitCode.failed) }
      defer { exchange.end() }
      return Daemon.run(source, Demo(config, exchange, held))
    } catch {
      return Daemon.complain("the demo's exchange does not start: \(error.sentence)", ExitCode.failed)
    }
  }

  /// The folder of the page: the one that is named, else beside the program, else where it is installed.
  private static func folder(_ page: String?) -> String? {
    if let page { return isPage(page) ? absolute(page) : nil }
    let folder = libraryText { daemon_program_path($0, $1) }.map { $0.split(separator: "/").dropLast().map { "/" + $0 }.joined() } ?? "."
    return ["\(folder)/web", "\(folder)/../share/pulsews/web"].first { isPage($0) }.map { absolute($0) }
  }

  /// So that the configuration serves it from wherever it is started.
  private static func absolute(_ folder: String) -> String {
    guard let found = realpath(folder, nil) else { return folder }
    defer { free(found) }
    return String(cString: found)
  }

  private static func isPage(_ folder: String) -> Bool {
    ["index.html", "page/index.html"].allSatisfy { access("\(folder)/\($0)", R_OK) == 0 }
  }

  private static func missing(_ page: String?) -> String {
    "pulsews-hub: there is no page \(page.map { "in \($0)" } ?? "beside the program"), and the hub runs on without it; "
      + "`make page` lays one out in dist/web"
  }

  // MARK: Beside the hub

  /// The hub listens. nil, or why the demo can't run.
  func begin(_ hub: LibraryHub, _ services: SignalService, _ portfolio: PortfolioConfig?, _ log: Logger) -> String? {
    held?.release()
    let desk = Desk(hub: hub, services: services, portfolio: portfolio) { log.error("\($0)") }
    let began = beat.begin("trader", every: Demo.traderPause) { [self] in
      let now = daemon_realtime_ns() / 1_000_000
      trader.withLock { trader in
        for step in trader.step(at: now, exchange.price) {
          switch step {
          case .say(let message): desk.say(message)
          case .signal(let index, let body):
            guard let id = desk.signal(body) else { continue }
            for case .say(let message) in trader.place(index, signal: id, at: now, exchange.price) { desk.say(message) }
          }
        }
      }
    }
    if let began { return began }
    return writeAll(1, greeting) ? nil : "the page's address can't be written: \(systemError())"
  }

  /// Nobody trades any more. The exchange ends behind the hub.
  func end() { beat.end() }

  /// Whether the event is the demo's; then it is answered.
  func answer(_ event: borrowing HubEvent, _ hub: LibraryHub) -> Bool {
    if event.kind != Int(PULSEWS_HUB_HTTP_REQUEST) { return false }
    let (kind, body): (String, String)
    switch event.route {
    case DemoConfig.pagePath: (kind, body) = ("application/json", DemoConfig.page)
    case DemoConfig.tokenPath:
      let token = config.token(now: daemon_realtime_ns() / 1_000_000_000)
      (kind, body) = ("text/javascript", "export const token = () => \(jsonString(token));\n")
    default: return false
    }
    let bytes = Array(body.utf8)
    pulsews_hub_answer(hub.handle, event.request, 200, "Content-Type: \(kind)\nCache-Control: no-store\n", bytes, bytes.count)
    return true
  }

  private var greeting: String {
    let (page, token) = (config.place.authority, config.token(now: daemon_realtime_ns() / 1_000_000_000))
    return """
      \(config.folder == nil ? "The hub of the demo, without a page:" : "The page of the demo:") http://\(page)/
        prices and candles   ws://\(page)/ws/stream?topics=price.BTC,candle.BTC.1m
        signals, and with this token the account "\(DemoTrader.account)"
                             ws://\(page)/ws/trading?topics=portfolio.\(DemoTrader.account).orders&token=\(token)
        a signal of yours    curl -d '{"ticker":"BTC","action":"buy"}' http://\(page)\(DemoConfig.webhookPath)
        figures              http://\(page)/ws/status and http://\(page)/metrics
        as a first configuration of your own: pulsews-hub --demo --print-config
      Ctrl-C ends it.

      """
  }
}

/// Where the trader's messages go: the ways that those of a service go.
private struct Desk: Sendable {
  let hub: LibraryHub
  let services: SignalService
  let portfolio: PortfolioConfig?
  let problem: @Sendable (String) -> Void

  func say(_ message: String) {
    let bytes = Array(message.utf8)
    switch PeerMessage.read(bytes, portfolio, statusTopic: { _ in "signal_status" }) {
    case .failure(let refusal): problem("the demo's trader: \(refusal.sentence)")
    case .success(let place):
      let code = pulsews_hub_publish(hub.handle, place.topic, place.key, bytes, bytes.count, nil)
      // Behind the last peer of a drain nothing is published any more.
      if code != OK.code, code != Int32(PULSEWS_ECLOSED) { problem("the demo's trader: \(text(pulsews_error_text(code)))") }
    }
  }

  /// The id of the signal, nil if it was not taken.
  func signal(_ body: String) -> String? {
    let call = WebhookCall(method: "POST", target: DemoConfig.webhookPath, address: "127.0.0.1", body: Array(body.utf8))
    let (status, _, answer) = services.receive(call, route: DemoConfig.webhookPath)
    if status != 200 { problem("the demo's trader: \(answer)") }
    return JSONScanner.text(Array(answer.utf8), at: ["id"])
  }
}

/// A port that is taken before the hub listens at it, since its configuration names it.
private final class Held: Sendable {
  let port: UInt16
  private let descriptor: Mutex<Int32>

  private init(_ port: UInt16, _ descriptor: Int32) {
    self.port = port
    self.descriptor = Mutex(descriptor)
  }

  deinit { release() }

  /// The port of `place`, or if it is taken and `isOther` a free one. nil: what is wrong the hub will say.
  static func take(_ place: DemoPlace, isOther: Bool) -> Held? {
    var port = place.port
    var descriptor = daemon_reserve_port(place.numeric, &port)
    if descriptor < 0, isOther {
      port = 0
      descriptor = daemon_reserve_port(place.numeric, &port)
    }
    return descriptor < 0 ? nil : Held(port, descriptor)
  }

  func release() {
    descriptor.withLock { held in
      if held >= 0 { close(held) }
      held = -1
    }
  }
}
