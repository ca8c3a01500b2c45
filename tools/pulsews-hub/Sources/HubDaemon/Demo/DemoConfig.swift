// SPDX-License-Identifier: Apache-2.0

/// The configuration of the demo's hub: a text, read as that of a file is.
struct DemoConfig: Equatable, Sendable {
  /// Where the hub listens, and what stands in a URL for it.
  var place: DemoPlace
  var secret: String
  /// nil: there is no page to serve.
  var folder: String?
  /// The local exchange, "127.0.0.1:4567"; nil: that which it plays.
  var exchange: String?

  static let pagePath = "/page/page.json"
  static let tokenPath = "/page/token.js"
  static let webhookPath = "/webhook/demo"

  /// What a user may take on as a file of his own.
  var text: String {
    let symbols = DemoInstrument.all.map { jsonString($0.symbol) }
    let intervals = DemoInterval.allCases.map { jsonString($0.rawValue) }.joined(separator: ", ")
    let rows = [symbols.prefix(6), symbols.suffix(from: 6)].map { "  " + $0.joined(separator: ", ") + ",\n" }.joined()
    return """
      # A configuration of pulsews-hub. `pulsews-hub --check FILE` says what it does, `pulsews-hub FILE` serves by it.
      # docs/DAEMON.md explains the sections, docs/HUB_OPTIONS.md every option.

      [hub]
      name = "demo"
      listen = [\(jsonString(place.listen))]
      # The origins whose pages may connect.
      origin = [\(place.origins.map { jsonString($0) }.joined(separator: ", "))]
      # A token counts where one is shown, also in the URL, as ?token=.
      auth = "optional"
      token_in_url = true
      drain_spread = 0

      [key.demo]
      algorithm = "HS256"
      # Made for you. In a file of its own it is safer: secret_file = "/etc/pulsews/secret"
      secret = \(jsonString(secret))

      # Paths for WebSocket peers. Who comes by the last one has the signals without asking.
      [route."/ws"]
      [route."/ws/stream"]
      heartbeat_message = "15s"
      [route."/ws/trading"]
      topic = ["signal", "signal_status"]

      # Files: the page that `make page` lays out.
      \(folder.map { "[static]\n\"/\" = \(jsonString($0))" } ?? "#: [static]\n#: \"/\" = \"dist/web\"")

      # Prices: the latest for who comes, and stale when none came for so long.
      [topic."price.*"]
      latest = true
      conflate = "symbol"
      stale_after = "5s"
      flush = "20ms"

      # Candles: for who comes those of the feed's history, for who comes back all updates of an hour.
      [topic."candle.*.*"]
      history = 5000
      history_age = "1h"

      [topic."trade.*"]
      history = 100

      [topic.signal]
      history = 100

      [topic.signal_status]
      history = 100

      # Positions, orders, trades and equity of accounts: tokens say who sees and who publishes them.
      [portfolio]

      # A POST becomes a signal. From elsewhere than this machine it needs a secret, too.
      [webhook."\(DemoConfig.webhookPath)"]
      allow = ["127.0.0.1", "::1"]
      duplicate_window = "1s"

      [feed.\(exchange == nil ? "binance" : "demo")]
      preset = "binance-spot"
      url = \(jsonString(exchange.map { "ws://\($0)/stream" } ?? "wss://stream.binance.com:9443/stream"))
      symbols = [
      \(rows)]
      streams = ["price", "candle", "trade"]
      intervals = [\(intervals)]
      max_reconnect_attempts = 0
      # So many candles from before the start, and those that the stream has missed, by HTTP.
      history = 500\(exchange.map { "\nhistory_url = \(jsonString("http://\($0)\(DemoForms.klinesPath)"))\nhistory_pause = 0" } ?? "")

      """
  }

  /// What the running demo has besides: its page learns from it what to show.
  var wholeText: String {
    if folder == nil { return text }
    return text + [DemoConfig.pagePath, DemoConfig.tokenPath].map { "\n[route.\"\($0)\"]\nkind = \"application\"\n" }.joined()
  }

  /// The settings of the page (docs/WEB.md).
  static var page: String {
    let symbols = DemoInstrument.all.map { jsonString($0.name) }.joined(separator: ",")
    let intervals = DemoInterval.allCases.map { jsonString($0.rawValue) }.joined(separator: ",")
    let account = "portfolio.\(DemoTrader.account)"
    return "{\"title\":\"PulseWS demo\",\"symbols\":[\(symbols)],\"intervals\":[\(intervals)],"
      + "\"streams\":[\"signal\",\"signal_status\",\"\(account).orders\",\"\(account).trades\"],"
      + "\"equityTopic\":\"\(account).equity\",\"equityMember\":\"data.equity\",\"token\":\"token.js\"}\n"
  }

  /// A token of who sees the demo's account and publishes for it; `now` in seconds since 1970.
  func token(now: Int64) -> String {
    let topics = "[\"portfolio.\(DemoTrader.account).*\"]"
    return DemoToken.make(
      "{\"sub\":\"demo\",\"exp\":\(now + 30 * 86_400),\"topics\":\(topics),\"publish\":\(topics)}", secret: secret)
  }
}

/// An address to listen at, "host:port".
struct DemoPlace: Equatable, Sendable {
  static let usual = DemoPlace(host: "127.0.0.1", port: 8080)

  let host: String
  var port: UInt16

  init(host: String, port: UInt16) { (self.host, self.port) = (host, port) }

  /// nil if it is none.
  init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"), colon != text.startIndex else { return nil }
    guard let port = UInt16(text[text.index(after: colon)...]) else { return nil }
    host = String(text[..<colon])
    self.port = port
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
    if host.contains("/") || host.contains(":") != isBracketed { return nil }
  }

  var listen: String { "\(host):\(port)" }

  /// What a browser on this machine writes.
  var authority: String { (host == "*" || host == "0.0.0.0" ? "127.0.0.1" : host) + (port == 80 ? "" : ":\(port)") }

  /// Those of its own pages.
  var origins: [String] {
    let port = port == 80 ? "" : ":\(port)"
    var found = ["http://127.0.0.1\(port)", "http://localhost\(port)"]
    if !found.contains("http://\(authority)") { found.append("http://\(authority)") }
    return found
  }

  /// For the system: nil is any.
  var numeric: String? {
    switch host {
    case "*": nil
    case "localhost": "127.0.0.1"
    default: host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
    }
  }
}
