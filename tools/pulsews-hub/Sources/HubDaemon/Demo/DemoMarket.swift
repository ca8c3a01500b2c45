// SPDX-License-Identifier: Apache-2.0

/// What is traded. Prices and quantities are whole numbers of units of the last digit, so that every sum is exact.
struct DemoInstrument: Equatable, Sendable {
  let symbol: String
  let priceDigits: Int
  let quantityDigits: Int
  /// Where the price begins.
  let price: Int64
  /// About what is bought and sold at once.
  let quantity: Int64

  /// Without the currency: what the hub's topics call it.
  var name: String { String(symbol.dropLast(4)) }

  static let all = [
    DemoInstrument(symbol: "BTCUSDT", priceDigits: 2, quantityDigits: 5, price: 6_425_010, quantity: 4_000),
    DemoInstrument(symbol: "ETHUSDT", priceDigits: 2, quantityDigits: 4, price: 312_045, quantity: 8_000),
    DemoInstrument(symbol: "SOLUSDT", priceDigits: 3, quantityDigits: 3, price: 182_350, quantity: 12_000),
    DemoInstrument(symbol: "BNBUSDT", priceDigits: 2, quantityDigits: 3, price: 59_820, quantity: 4_000),
    DemoInstrument(symbol: "XRPUSDT", priceDigits: 5, quantityDigits: 1, price: 61_200, quantity: 30_000),
    DemoInstrument(symbol: "DOGEUSDT", priceDigits: 6, quantityDigits: 0, price: 158_200, quantity: 12_000),
    DemoInstrument(symbol: "ADAUSDT", priceDigits: 5, quantityDigits: 1, price: 45_100, quantity: 40_000),
    DemoInstrument(symbol: "AVAXUSDT", priceDigits: 3, quantityDigits: 2, price: 35_120, quantity: 6_000),
    DemoInstrument(symbol: "LINKUSDT", priceDigits: 4, quantityDigits: 2, price: 178_500, quantity: 9_000),
    DemoInstrument(symbol: "DOTUSDT", priceDigits: 4, quantityDigits: 2, price: 71_200, quantity: 25_000),
    DemoInstrument(symbol: "LTCUSDT", priceDigits: 3, quantityDigits: 3, price: 84_600, quantity: 20_000),
    DemoInstrument(symbol: "TRXUSDT", priceDigits: 6, quantityDigits: 0, price: 125_100, quantity: 15_000),
  ]
}

/// A whole number of units as a decimal with so many digits behind the point.
func decimalText(_ units: Int64, _ digits: Int) -> String {
  let text = String(units.magnitude)
  let padded = String(repeating: "0", count: max(0, digits + 1 - text.count)) + text
  let point = digits == 0 ? "" : "."
  return (units < 0 ? "-" : "") + padded.dropLast(digits) + point + padded.suffix(digits)
}

/// The same numbers for the same seed, everywhere (SplitMix64).
struct DemoRandom: RandomNumberGenerator, Equatable, Sendable {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// 0 up to below `count`.
  mutating func pick(_ count: Int64) -> Int64 { Int64(next() >> 1) % count }

  /// About a bell curve around 0, of 16 bits a side; a standard deviation is 37837.
  mutating func bell() -> Int64 { (0..<4).reduce(-131_072) { sum, _ in sum + Int64(next() >> 48) } }
}

/// What happens in a market, in its order.
enum DemoEvent: Equatable, Sendable {
  case quote(DemoInstrument, DemoQuote)
  case trade(DemoInstrument, DemoTrade)
  case candle(DemoInstrument, DemoCandle, isClosed: Bool, time: Int64)
}

/// The best bid and ask.
struct DemoQuote: Equatable, Sendable {
  let update: Int64
  let bid: Int64
  let bidQuantity: Int64
  let ask: Int64
  let askQuantity: Int64
}

/// Symbols whose prices walk at random, and the candles of their trades. A seed and the times of its steps decide everything;
/// it knows neither a clock nor a socket. Times are milliseconds since 1970.
struct DemoMarket: Equatable, Sendable {
  /// Minutes of candles that are there at the start, and steps in each of them.
  static let past: Int64 = 600
  private static let pastSteps: Int64 = 10
  /// Finer than the last digit, so that a price that hardly moves does not stand still.
  private static let fineness: Int64 = 1000
  /// How often an open candle is told, at most.
  private static let candlePause: Int64 = 500

  private struct Book: Equatable {
    let instrument: DemoInstrument
    var walk: Int64
    var update: Int64
    var trade: Int64
    var series: [DemoCandles]
    var told: Int64

    var price: Int64 { walk / DemoMarket.fineness }
  }

  private var random: DemoRandom
  private var books: [Book]
  /// It never goes back, whatever the clock does.
  private(set) var time: Int64

  /// A market that was open for a while already: its candles end at `now`.
  init(seed: UInt64, now: Int64, instruments: [DemoInstrument] = DemoInstrument.all) {
    random = DemoRandom(seed: seed)
    let begin = max(0, DemoInterval.fiveMinutes.start(of: now - DemoMarket.past * 60_000))
    time = begin
    books = instruments.map { instrument in
      Book(
        instrument: instrument, walk: instrument.price * DemoMarket.fineness, update: 1_000_000, trade: 500_000,
        series: DemoInterval.allCases.map { DemoCandles($0, time: begin, price: instrument.price) }, told: 0)
    }
    let pause = 60_000 / DemoMarket.pastSteps
    for at in stride(from: begin, to: now, by: Int64.Stride(pause)) {
      _ = advance(to: at)
      // Few steps stand for many: each goes further.
      for index in books.indices { _ = move(index, reach: 9, isTraded: true) }
    }
    _ = advance(to: now)
  }

  var count: Int { books.count }

  /// Halfway between bid and ask.
  func price(_ index: Int) -> Int64 { books[index].price }

  func candles(_ symbol: String, _ interval: DemoInterval) -> (DemoInstrument, DemoCandles)? {
    guard let book = books.first(where: { $0.instrument.symbol == symbol }) else { return nil }
    return book.series.first { $0.interval == interval }.map { (book.instrument, $0) }
  }

  /// The next thing that happens: candles that are over are closed, and one of the symbols moves.
  mutating func step(at now: Int64) -> [DemoEvent] {
    advance(to: now) + move(Int(random.pick(Int64(books.count))), reach: 1, isTraded: random.pick(3) == 0)
  }

  private mutating func advance(to now: Int64) -> [DemoEvent] {
    time = max(time, now)
    var events: [DemoEvent] = []
    for index in books.indices {
      for series in books[index].series.indices {
        for candle in books[index].series[series].advance(to: time) {
          events.append(.candle(books[index].instrument, candle, isClosed: true, time: time))
        }
      }
    }
    return events
  }

  private mutating func move(_ index: Int, reach: Int64, isTraded: Bool) -> [DemoEvent] {
    let instrument = books[index].instrument
    let home = instrument.price * DemoMarket.fineness
    let walk = books[index].walk
    // A step of about 0.004 %, and a pull towards where it began.
    let step = walk / 25_000 * random.bell() / 37_837 * reach + (home - walk) / 200_000 * reach
    books[index].walk = min(max(walk + step, home / 2), home * 2)
    books[index].update += 1 + random.pick(3)
    let price = books[index].price
    let spread = 1 + price / 40_000
    let quote = DemoQuote(
      update: books[index].update, bid: price - spread, bidQuantity: quantity(instrument), ask: price + spread,
      askQuantity: quantity(instrument))
    return [.quote(instrument, quote)] + (isTraded ? trade(index, quote) : [])
  }

  private mutating func trade(_ index: Int, _ quote: DemoQuote) -> [DemoEvent] {
    let instrument = books[index].instrument
    let isBuyerMaker = random.pick(2) == 0
    books[index].trade += 1
    let trade = DemoTrade(
      id: books[index].trade, time: time, price: isBuyerMaker ? quote.bid : quote.ask, quantity: quantity(instrument),
      isBuyerMaker: isBuyerMaker)
    for series in books[index].series.indices { books[index].series[series].take(trade) }
    var events = [DemoEvent.trade(instrument, trade)]
    if time - books[index].told >= DemoMarket.candlePause {
      books[index].told = time
      events += books[index].series.map { .candle(instrument, $0.current, isClosed: false, time: time) }
    }
    return events
  }

  private mutating func quantity(_ instrument: DemoInstrument) -> Int64 { 1 + random.pick(2 * instrument.quantity) }
}
