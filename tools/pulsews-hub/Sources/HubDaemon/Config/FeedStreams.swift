// SPDX-License-Identifier: Apache-2.0

/// How the keys of a known feed are made of symbols, streams and intervals. The maps of the library understand what comes.
struct FeedStreams: Sendable {
  struct Template: Equatable, Sendable {
    let key: String
    /// The text that subscribes, where the preset has no template for it; the one that ends it has another `op`.
    var message: String?
    /// What names the stream in the client's `subscribe_message`, where keys are symbols alone; nil: the preset's does.
    var channel: String?

    var hasSymbol: Bool { key.contains("{symbol") }
    var hasInterval: Bool { key.contains("{interval}") || channel?.contains("{interval}") == true }

    func subscription(_ symbol: String, _ interval: String) -> FeedSubscription {
      let message = message.map { fill($0, symbol, interval) }
      return FeedSubscription(
        key: fill(key, symbol, interval), message: message,
        unsubscribe: message?.replacing("\"op\":\"subscribe\"", with: "\"op\":\"unsubscribe\""))
    }

    /// The client's options that subscribe and unsubscribe keys of this channel; nil: those of the preset do.
    func requests(_ form: String, _ interval: String) -> [(name: String, value: String)]? {
      guard let channel else { return nil }
      return ["subscribe", "unsubscribe"].map { verb in
        (
          "\(verb)_message",
          form.replacing("{verb}", with: verb).replacing("{channel}", with: channel.replacing("{interval}", with: interval))
        )
      }
    }

    private func fill(_ template: String, _ symbol: String, _ interval: String) -> String {
      template.replacing("{symbol_lower}", with: symbol.lowercased()).replacing("{symbol}", with: symbol)
        .replacing("{interval}", with: interval)
    }

    /// A symbol as the exchange's messages have it: where keys are in small letters, they are in capitals.
    func asTold(_ symbol: String) -> String { key.contains("{symbol_lower}") ? symbol.uppercased() : symbol }
  }

  let streams: [String: Template]
  /// What the exchange calls an interval, where it is not as everybody does; with a `form` all that it has.
  let intervals: [String: String]
  /// `subscribe_message`, where keys are symbols alone: a client has one stream, with one interval.
  let form: String?

  private init(_ streams: [String: String], messages: [String: String] = [:], intervals: [String: String] = [:]) {
    self.streams = Dictionary(
      uniqueKeysWithValues: streams.map { ($0.key, Template(key: $0.value, message: messages[$0.key])) })
    self.intervals = intervals
    form = nil
  }

  /// Of symbols alone; `channels`: what names those streams that the preset does not have.
  private init(_ form: String, channels: [String: String?], intervals: [String: String]) {
    streams = channels.mapValues { Template(key: "{symbol}", channel: $0) }
    self.intervals = intervals
    self.form = form
  }

  private static let binance = FeedStreams([
    "price": "{symbol_lower}@bookTicker", "candle": "{symbol_lower}@kline_{interval}", "trade": "{symbol_lower}@aggTrade",
  ])
  private static let minutes = [
    "1m": "1", "3m": "3", "5m": "5", "15m": "15", "30m": "30", "1h": "60", "2h": "120", "4h": "240", "6h": "360", "12h": "720",
  ]
  private static let hours = [
    "1h": "1H", "2h": "2H", "4h": "4H", "6h": "6H", "12h": "12H", "1d": "1D", "1w": "1W",
  ]

  /// By the name of the preset.
  static let known: [String: FeedStreams] = [
    "alpaca": FeedStreams(["price": "{symbol}", "trade": "{symbol}"]),
    "binance-futures": binance,
    "binance-spot": binance,
    "bybit": FeedStreams(
      ["price": "tickers.{symbol}", "candle": "kline.{interval}.{symbol}", "trade": "publicTrade.{symbol}"],
      intervals: minutes.merging(["1d": "D", "1w": "W", "1M": "M"]) { $1 }),
    "coinbase": FeedStreams(
      #"{"type":"{verb}",{channel},"product_ids":[${keys}]}"#,
      channels: ["price": nil, "candle": #""channel":"candles""#, "trade": #""channel":"market_trades""#], intervals: ["5m": "5m"]),
    "deribit": FeedStreams(
      ["price": "ticker.{symbol}.100ms", "candle": "chart.trades.{symbol}.{interval}", "trade": "trades.{symbol}.100ms"],
      intervals: minutes.merging(["10m": "10", "3h": "180", "1d": "1D"]) { $1 }),
    "kraken": FeedStreams(
      #"{"method":"{verb}","params":{{channel},"symbol":[${keys}]},"req_id":${id}}"#,
      channels: ["price": nil, "candle": #""channel":"ohlc","interval":{interval}"#, "trade": #""channel":"trade""#],
      intervals: [
        "1m": "1", "5m": "5", "15m": "15", "30m": "30", "1h": "60", "4h": "240", "1d": "1440", "1w": "10080", "15d": "21600",
      ]),
    "okx": FeedStreams(
      ["price": "tickers:{symbol}", "candle": "candle{interval}:{symbol}", "trade": "trades:{symbol}"],
      messages: [
        "price": #"{"op":"subscribe","args":[{"channel":"tickers","instId":"{symbol}"}]}"#,
        "candle": #"{"op":"subscribe","args":[{"channel":"candle{interval}","instId":"{symbol}"}]}"#,
        "trade": #"{"op":"subscribe","args":[{"channel":"trades","instId":"{symbol}"}]}"#,
      ], intervals: hours),
  ]
}
