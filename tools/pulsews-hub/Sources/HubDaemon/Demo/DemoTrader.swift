// SPDX-License-Identifier: Apache-2.0

/// Somebody who trades on the demo's exchange: what a strategy would send to the hub, and when. Prices come from outside; a
/// seed and the times of its steps decide the rest. It buys what it does not have, and sells what it has, so that its cash is
/// what it had, less what it paid, to the last digit. Times are milliseconds since 1970.
struct DemoTrader: Equatable, Sendable {
  static let account = "demo"
  /// Digits behind the point of sums of money: enough for every price times every quantity.
  static let digits = 8
  private static let begin: Int64 = 200_000 * 100_000_000
  private static let signalPause: Int64 = 5000
  private static let valuePause: Int64 = 1000

  /// The latest of each price.
  typealias Prices = (Int) -> Int64

  struct Order: Equatable {
    let id: Int64
    let index: Int
    let isBuy: Bool
    let quantity: Int64
    let price: Int64
    let signal: String
    /// When it is decided, and how.
    let due: Int64
    let isFilled: Bool
  }

  struct Position: Equatable {
    var quantity: Int64 = 0
    /// What was paid for it.
    var cost: Int64 = 0
  }

  enum Step: Equatable {
    /// A message of a service.
    case say(String)
    /// A call of the webhook; `place` with the id that it is given is what comes of it.
    case signal(index: Int, body: String)
  }

  private let instruments: [DemoInstrument]
  private var random: DemoRandom
  private(set) var cash = DemoTrader.begin
  private(set) var positions: [Position]
  private var orders: [Order] = []
  private var count: Int64 = 0
  private var nextSignal: Int64
  private var nextValue: Int64

  init(seed: UInt64, now: Int64, instruments: [DemoInstrument] = DemoInstrument.all) {
    self.instruments = instruments
    random = DemoRandom(seed: seed)
    positions = instruments.map { _ in Position() }
    (nextSignal, nextValue) = (now, now)
  }

  /// What is to be said now.
  mutating func step(at now: Int64, _ prices: Prices) -> [Step] {
    var steps: [Step] = []
    while let due = orders.firstIndex(where: { $0.due <= now }) { steps += decide(orders.remove(at: due), now) }
    if now >= nextValue {
      nextValue = now + DemoTrader.valuePause
      for index in positions.indices where positions[index].quantity > 0 { steps.append(.say(position(index, prices, now))) }
      steps.append(.say(equity(prices, now)))
    }
    if now >= nextSignal, orders.isEmpty {
      nextSignal = now + DemoTrader.signalPause
      let index = Int(random.pick(Int64(instruments.count)))
      let action = positions[index].quantity > 0 ? "sell" : "buy"
      let price = decimalText(prices(index), instruments[index].priceDigits)
      count += 1
      steps.append(
        .signal(
          index: index,
          body: "{\"ticker\":\"\(instruments[index].name)\",\"action\":\"\(action)\",\"price\":\"\(price)\",\"alert\":\(count)}"))
    }
    return steps
  }

  /// Follows a signal of that id.
  mutating func place(_ index: Int, signal: String, at now: Int64, _ prices: Prices) -> [Step] {
    let held = positions[index].quantity
    count += 1
    let order = Order(
      id: count, index: index, isBuy: held == 0, quantity: held == 0 ? 1 + random.pick(4 * instruments[index].quantity) : held,
      price: prices(index), signal: signal, due: now + 400 + random.pick(1200), isFilled: random.pick(6) > 0)
    orders.append(order)
    return [.say(status(order, "accepted")), .say(self.order(order, "new", now))]
  }

  private mutating func decide(_ order: Order, _ now: Int64) -> [Step] {
    if !order.isFilled { return [.say(self.order(order, "cancelled", now)), .say(status(order, "cancelled"))] }
    let value = money(order.index, order.quantity, order.price)
    if order.isBuy {
      positions[order.index].quantity += order.quantity
      positions[order.index].cost += value
      cash -= value
    } else {
      positions[order.index] = Position()
      cash += value
    }
    return [
      .say(self.order(order, "filled", now)), .say(trade(order, now)), .say(position(order.index, { _ in order.price }, now)),
      .say(status(order, "filled")),
    ]
  }

  /// Quantity times price.
  private func money(_ index: Int, _ quantity: Int64, _ price: Int64) -> Int64 {
    let missing = DemoTrader.digits - instruments[index].priceDigits - instruments[index].quantityDigits
    return (0..<max(0, missing)).reduce(quantity * price) { value, _ in value * 10 }
  }

  /// Cash, and what the positions are worth.
  func worth(_ prices: Prices) -> Int64 {
    positions.indices.reduce(cash) { $0 + money($1, positions[$1].quantity, prices($1)) }
  }
}

// MARK: Messages

extension DemoTrader {
  private func message(_ type: String, _ data: String, _ now: Int64) -> String {
    "{\"type\":\"\(type)\",\"data\":{\"account\":\"\(DemoTrader.account)\",\(data)},\"timestamp\":\"\(formatTime(now * 1_000_000))\"}"
  }

  private func price(_ index: Int, _ units: Int64) -> String { decimalText(units, instruments[index].priceDigits) }
  private func quantity(_ index: Int, _ units: Int64) -> String { decimalText(units, instruments[index].quantityDigits) }

  private func order(_ order: Order, _ state: String, _ now: Int64) -> String {
    message("order", "\"id\":\"order-\(order.id)\",\"status\":\"\(state)\"," + details(order), now)
  }

  private func trade(_ order: Order, _ now: Int64) -> String {
    message("trade_executed", "\"id\":\"trade-\(order.id)\",\"order\":\"order-\(order.id)\"," + details(order), now)
  }

  private func details(_ order: Order) -> String {
    "\"symbol\":\"\(instruments[order.index].name)\",\"side\":\"\(order.isBuy ? "buy" : "sell")\","
      + "\"quantity\":\"\(quantity(order.index, order.quantity))\",\"price\":\"\(price(order.index, order.price))\""
  }

  private func position(_ index: Int, _ prices: Prices, _ now: Int64) -> String {
    let held = positions[index]
    let value = money(index, held.quantity, prices(index))
    return message(
      "position_update",
      "\"symbol\":\"\(instruments[index].name)\",\"size\":\"\(quantity(index, held.quantity))\",\"price\":\"\(price(index, prices(index)))\","
        + "\"value\":\"\(decimalText(value, DemoTrader.digits))\",\"profit\":\"\(decimalText(value - held.cost, DemoTrader.digits))\"", now)
  }

  private func equity(_ prices: Prices, _ now: Int64) -> String {
    // In whole cents, rounded down: what is shown is there.
    let cents = worth(prices) / 1_000_000
    return message("equity_snapshot", "\"equity\":\"\(decimalText(cents, 2))\",\"cash\":\"\(decimalText(cash, DemoTrader.digits))\"", now)
  }

  private func status(_ order: Order, _ state: String) -> String {
    "{\"type\":\"signal_status\",\"id\":\(jsonString(order.signal)),\"status\":\"\(state)\",\"order\":\"order-\(order.id)\"}"
  }
}
