// SPDX-License-Identifier: Apache-2.0

/// What the demo's exchange says, in the forms of Binance spot.
enum DemoForms {
  // MARK: Streams

  /// The stream that an event belongs to.
  static func stream(_ event: DemoEvent) -> String {
    switch event {
    case .quote(let instrument, _): "\(instrument.symbol.lowercased())@bookTicker"
    case .trade(let instrument, _): "\(instrument.symbol.lowercased())@aggTrade"
    case .candle(let instrument, let candle, _, _): "\(instrument.symbol.lowercased())@kline_\(candle.interval.rawValue)"
    }
  }

  static let streams = Set(
    DemoInstrument.all.flatMap { instrument in
      (["bookTicker", "aggTrade"] + DemoInterval.allCases.map { "kline_\($0.rawValue)" }).map {
        "\(instrument.symbol.lowercased())@\($0)"
      }
    })

  /// A message of a combined stream.
  static func message(_ event: DemoEvent) -> String { "{\"stream\":\"\(stream(event))\",\"data\":\(data(event))}" }

  private static func data(_ event: DemoEvent) -> String {
    switch event {
    case .quote(let instrument, let quote):
      func price(_ units: Int64) -> String { decimalText(units, instrument.priceDigits) }
      func quantity(_ units: Int64) -> String { decimalText(units, instrument.quantityDigits) }
      return "{\"u\":\(quote.update),\"s\":\"\(instrument.symbol)\",\"b\":\"\(price(quote.bid))\",\"B\":\"\(quantity(quote.bidQuantity))\","
        + "\"a\":\"\(price(quote.ask))\",\"A\":\"\(quantity(quote.askQuantity))\"}"
    case .trade(let instrument, let trade):
      let (price, quantity) = (
        decimalText(trade.price, instrument.priceDigits), decimalText(trade.quantity, instrument.quantityDigits)
      )
      return "{\"e\":\"aggTrade\",\"E\":\(trade.time),\"s\":\"\(instrument.symbol)\",\"a\":\(trade.id),"
        + "\"p\":\"\(price)\",\"q\":\"\(quantity)\",\"f\":\(trade.id),\"l\":\(trade.id),\"T\":\(trade.time),\"m\":\(trade.isBuyerMaker),\"M\":true}"
    case .candle(let instrument, let candle, let isClosed, let time):
      let text = CandleText(candle, instrument)
      return "{\"e\":\"kline\",\"E\":\(time),\"s\":\"\(instrument.symbol)\",\"k\":{\"t\":\(candle.start),\"T\":\(candle.end),"
        + "\"s\":\"\(instrument.symbol)\",\"i\":\"\(candle.interval.rawValue)\",\"f\":\(candle.firstTrade),\"L\":\(candle.lastTrade),"
        + "\"o\":\"\(text.open)\",\"c\":\"\(text.close)\",\"h\":\"\(text.high)\",\"l\":\"\(text.low)\",\"v\":\"\(text.volume)\","
        + "\"n\":\(candle.trades),\"x\":\(isClosed),\"q\":\"\(text.value)\",\"V\":\"\(text.takerVolume)\","
        + "\"Q\":\"\(text.takerValue)\",\"B\":\"0\"}}"
    }
  }

  /// The numbers of a candle as streams and answers have them: the same digits in both.
  private struct CandleText {
    let open, high, low, close, volume, value, takerVolume, takerValue: String

    init(_ candle: DemoCandle, _ instrument: DemoInstrument) {
      let (price, quantity) = (instrument.priceDigits, instrument.quantityDigits)
      open = decimalText(candle.open, price)
      high = decimalText(candle.high, price)
      low = decimalText(candle.low, price)
      close = decimalText(candle.close, price)
      volume = decimalText(candle.volume, quantity)
      value = decimalText(candle.value, price + quantity)
      takerVolume = decimalText(candle.takerVolume, quantity)
      takerValue = decimalText(candle.takerValue, price + quantity)
    }
  }

  // MARK: Candles over HTTP

  static let klinesPath = "/api/v3/klines"
  static let mostCandles = 1000

  /// The answer to a GET of `target`: status and body.
  static func answer(_ method: String, _ target: String, _ market: DemoMarket) -> (status: Int32, body: String) {
    let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    if parts[0] != klinesPath { return (404, "{\"code\":-1,\"msg\":\"There is nothing here.\"}") }
    if method != "GET" { return (405, "{\"code\":-1,\"msg\":\"Only GET is taken here.\"}") }
    var query: [String: String] = [:]
    for pair in (parts.count > 1 ? parts[1] : "").split(separator: "&") {
      let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      query[String(sides[0])] = sides.count > 1 ? String(sides[1]) : ""
    }
    for name in ["symbol", "interval"] where (query[name] ?? "").isEmpty {
      return refuse(-1102, "Mandatory parameter '\(name)' was not sent, was empty/null, or malformed.")
    }
    guard let interval = query["interval"].flatMap({ DemoInterval(rawValue: $0) }) else { return refuse(-1120, "Invalid interval.") }
    guard let (instrument, candles) = market.candles(query["symbol"] ?? "", interval) else { return refuse(-1121, "Invalid symbol.") }
    var numbers: [String: Int64] = [:]
    for name in ["limit", "startTime", "endTime"] {
      guard let text = query[name] else { continue }
      guard let number = Int64(text), number >= (name == "limit" ? 1 : 0) else {
        return refuse(-1100, "Illegal characters found in parameter '\(name)'; legal range is '^[0-9]{1,20}$'.")
      }
      numbers[name] = number
    }
    let limit = min(Int(numbers["limit"] ?? 500), mostCandles)
    let picked = candles.pick(from: numbers["startTime"], to: numbers["endTime"], limit: limit)
    return (200, "[" + picked.map { row($0, instrument) }.joined(separator: ",") + "]")
  }

  static func row(_ candle: DemoCandle, _ instrument: DemoInstrument) -> String {
    let text = CandleText(candle, instrument)
    return "[\(candle.start),\"\(text.open)\",\"\(text.high)\",\"\(text.low)\",\"\(text.close)\",\"\(text.volume)\",\(candle.end),"
      + "\"\(text.value)\",\(candle.trades),\"\(text.takerVolume)\",\"\(text.takerValue)\",\"0\"]"
  }

  private static func refuse(_ code: Int, _ sentence: String) -> (Int32, String) { (400, "{\"code\":\(code),\"msg\":\"\(sentence)\"}") }
}

/// What a client asks of the exchange.
enum DemoRequest: Equatable {
  case subscribe([String], id: String)
  case unsubscribe([String], id: String)
  case list(id: String)
  /// The text of the answer.
  case refused(String)

  static func read(_ data: [UInt8]) -> DemoRequest {
    if !JSONScanner.isObject(data) { return .refused("{\"error\":{\"code\":3,\"msg\":\"Invalid JSON: an object is expected\"}}") }
    let id = JSONScanner.raw(data, at: ["id"]) ?? "null"
    func refuse(_ code: Int, _ sentence: String) -> DemoRequest {
      .refused("{\"error\":{\"code\":\(code),\"msg\":\(jsonString(sentence))},\"id\":\(id)}")
    }
    let method = JSONScanner.text(data, at: ["method"]) ?? ""
    if method == "LIST_SUBSCRIPTIONS" { return .list(id: id) }
    guard method == "SUBSCRIBE" || method == "UNSUBSCRIBE" else { return refuse(2, "Invalid request: unknown method") }
    guard let names = JSONScanner.texts(data, at: ["params"]), !names.isEmpty else {
      return refuse(2, "Invalid request: params is a list of streams")
    }
    if let unknown = names.first(where: { !DemoForms.streams.contains($0) }) {
      return refuse(2, "Invalid request: there is no stream \(unknown)")
    }
    return method == "SUBSCRIBE" ? .subscribe(names, id: id) : .unsubscribe(names, id: id)
  }
}
